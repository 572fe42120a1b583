"""The node of the local cloud: builds images and runs revisions as processes.

    python -m convergence_orchestration.local_gcp.node --data-dir DIR [--health-port P] [--pass-env NAME ...]
        [--limit-memory] [--most-instances N]
    python -m convergence_orchestration.local_gcp.node --data-dir DIR --stop-instances

What belongs here: making true what the control plane's store asks for, and reporting what is. The store is read and written
directly, so nothing stops while the control process is down. Instances are sessions of their own and outlive the node;
the next one adopts them by pid and start time. Where requests go is the front door's, told through `front_door.json`.
"""
