"""What every room uses: errors, constants, atomic files, optional parts of the installation, cores."""
