"""Whether hot functions become machine code, and where that is kept from one start to the next."""
