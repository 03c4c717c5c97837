// Uploads a file with go-tus: ENDPOINT TOKEN WORKSPACE NAME FILE.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/eventials/go-tus"
	"github.com/eventials/go-tus/memorystore"
)

func main() {
	endpoint, token, workspace, name, path := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	file, err := os.Open(path)
	check(err)
	info, err := file.Stat()
	check(err)
	store, err := memorystore.NewMemoryStore()
	check(err)
	header := http.Header{"Authorization": {"Bearer " + token}}
	config := &tus.Config{ChunkSize: 1 << 20, Resume: true, Store: store, Header: header}
	client, err := tus.NewClient(endpoint, config)
	check(err)
	metadata := tus.Metadata{"workspaceId": workspace, "filename": name, "confirm": "auto"}
	upload := tus.NewUpload(file, info.Size(), metadata, path)
	for attempt := 0; ; attempt++ {
		uploader, err := client.CreateOrResumeUpload(upload)
		if err == nil {
			err = uploader.Upload()
		}
		if err == nil {
			fmt.Println(uploader.Url())
			return
		}
		if attempt == 5 {
			log.Fatal(err)
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
