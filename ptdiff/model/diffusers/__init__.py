"""Exchange with the library diffusers (von Platen et al. 2022).

configurations.py   its scheduler configurations as plans of sampling, and back
scheduler.py        a process and a solver as one of its schedulers
networks.py         its U-Nets as backbones; denoisers as its U-Nets, for its pipelines
"""

from ptdiff.model.diffusers.configurations import plan_of, scheduler_config

__all__ = ["plan_of", "scheduler_config"]
