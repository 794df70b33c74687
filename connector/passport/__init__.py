"""Battery passports: complete, cut along disclosure classes, signed once as an SD-JWT, judged when they arrive."""
