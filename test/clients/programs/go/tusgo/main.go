// Uploads a file with tusgo: ENDPOINT TOKEN WORKSPACE NAME FILE.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"

	"github.com/bdragon300/tusgo"
)

type authorized struct{ token string }

func (a authorized) RoundTrip(request *http.Request) (*http.Response, error) {
	request.Header.Set("Authorization", "Bearer "+a.token)
	return http.DefaultTransport.RoundTrip(request)
}

func main() {
	endpoint, token, workspace, name, path := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	file, err := os.Open(path)
	check(err)
	info, err := file.Stat()
	check(err)
	base, err := url.Parse(endpoint)
	check(err)
	client := tusgo.NewClient(&http.Client{Transport: authorized{token}}, base)
	_, err = client.UpdateCapabilities()
	check(err)
	metadata := map[string]string{"workspaceId": workspace, "filename": name, "confirm": "auto"}
	var upload tusgo.Upload
	_, err = client.CreateUpload(&upload, info.Size(), false, metadata)
	check(err)
	stream := tusgo.NewUploadStream(client, &upload)
	stream.ChunkSize = 1 << 20
	for attempt := 0; ; attempt++ {
		if err = send(stream, file); err == nil {
			fmt.Println(upload.Location)
			return
		}
		if attempt == 5 {
			log.Fatal(err)
		}
	}
}

func send(stream *tusgo.UploadStream, file *os.File) error {
	stream.ForceClean()
	if _, err := stream.Sync(); err != nil {
		return err
	}
	if _, err := file.Seek(stream.Tell(), io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(stream, file)
	return err
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
