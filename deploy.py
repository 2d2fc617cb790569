"""From a bare Linux to a proven WebUI: the stages of a host's life, in order."""

from gpuhost.deploys import stages

session = stages.observe()

stages.hold(session)
stages.preflight(session)
stages.driver(session)
stages.engine(session)
stages.toolkit(session)
stages.gpu_access(session)
stages.registry(session)
stages.switch_program(session)
stages.gpu_proof(session)
stages.instances(session)
stages.table(session)
stages.schedule(session)
