"""The programs of Postlude's hub. They need Python 3.9 or newer and its standard library; deliveries also need curl."""
