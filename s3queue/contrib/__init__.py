"""What joins this library to frameworks. Nothing else in it imports these modules, nor what they need."""
