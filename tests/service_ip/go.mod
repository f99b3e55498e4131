// A client that looks names up as Go programs do; it needs the standard library only.
module kdns/tests/service_ip

go 1.26.0
