"""What a spec costs before a machine is rented: parameters, FLOPs, memory, files, hours and money."""
