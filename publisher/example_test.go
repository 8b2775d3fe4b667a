package publisher_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

type postConfig struct {
	URL string `json:"url" jsonschema:"where to post"`
}

// A post is a publisher that posts line protocol.
type post struct{ url string }

func (p post) Publish(ctx context.Context, in *telemetry.Batch) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(in.AppendLines(nil)))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err // the sink is away: the same batch again, later
	}
	defer resp.Body.Close()
	return publisher.Verdict(resp)
}

func ExampleDefine() {
	d := publisher.Define(publisher.Spec[postConfig]{
		Program: "post", Summary: "Posts line protocol.", Config: postConfig{URL: "http://127.0.0.1:8086/write"},
		New: func(_ context.Context, cfg postConfig, _ plugin.Env) (publisher.Publisher, error) {
			return post{cfg.URL}, nil
		},
	})
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(os.Stdout, r.Body)
	}))
	defer sink.Close()
	points := strings.NewReader(`{"series":"cpu","time":"2025-11-19T13:38:45Z","fields":{"usage":93.5}}`)
	args := []string{"--once", "--host", "web-1", "--config", fmt.Sprintf(`{"url": %q}`, sink.URL)}
	plugin.Run(context.Background(), d, args, points, os.Stdout, os.Stderr, nil)
	// Output:
	// cpu,host=web-1 usage=93.5 1763559525000000000
}
