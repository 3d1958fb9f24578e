"""Whether the tests would notice: each small change to a guard makes one fail, or is explained."""
