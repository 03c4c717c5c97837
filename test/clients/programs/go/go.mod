module holdall.test/clients

go 1.24

require (
	github.com/Khan/genqlient v0.8.1
	github.com/bdragon300/tusgo v0.1.2
	github.com/eventials/go-tus v0.0.0-20220610120217-05d0564bb571
	golang.org/x/tools v0.52.0
)
