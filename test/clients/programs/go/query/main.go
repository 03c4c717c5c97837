// Searches with functions that genqlient generated: ENDPOINT TOKEN WORKSPACE.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/Khan/genqlient/graphql"
	"holdall.test/clients/holdall"
)

type authorized struct{ token string }

func (a authorized) RoundTrip(request *http.Request) (*http.Response, error) {
	request.Header.Set("Authorization", "Bearer "+a.token)
	return http.DefaultTransport.RoundTrip(request)
}

func main() {
	endpoint, token, workspace := os.Args[1], os.Args[2], os.Args[3]
	client := graphql.NewClient(endpoint, &http.Client{Transport: authorized{token}})
	by := holdall.WorkspaceBy{Id: &workspace}
	last := 10
	result, err := holdall.Search(context.Background(), client, by, "report", &last, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, edge := range result.Workspace.Search.Edges {
		fmt.Println(edge.Node.GetName())
	}
}
