"""How steps are carried out: actions in, pyinfra commands out."""
