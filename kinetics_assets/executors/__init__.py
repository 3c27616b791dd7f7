"""Where steps run: processes of this machine, with leases on cores and devices."""
