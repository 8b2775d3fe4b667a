package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/pacewire/pacewire/collector/exec"
	"github.com/pacewire/pacewire/internal/decode/prometheus"
)

// maxTried is how much text is read where no command prints it: as much as scrape takes of a page.
const maxTried = 64 << 20

// isText reports whether name is what has its text already: standard input, or a page.
func isText(name string) bool {
	return name == "-" || strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://")
}

// readText tries what stands on a page, or comes on standard input.
func (a *app) readText(ctx context.Context, o tryFlags, name string) ([]exec.Trial, error) {
	begun := time.Now()
	load := o.page
	if name == "-" {
		load = a.standardInput
	}
	text, err := load(ctx, name)
	took := time.Since(begun)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("<")) {
		return nil, fmt.Errorf("%s: this is HTML or XML: exporters have their samples at the path /metrics", name)
	}
	t, err := exec.Read(o.Config, o.env(), text)
	t.Command, t.Took = name, took
	if name == "-" {
		t.Command = "standard input"
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w by --format", t.Command, err)
	}
	return []exec.Trial{t}, nil
}

// standardInput reads to the end of standard input, or of the time. What still waits for a line then ends with the program.
func (a *app) standardInput(ctx context.Context, _ string) ([]byte, error) {
	var text []byte
	done := make(chan error, 1) // has a place, for nobody may listen any more
	go func() {
		var err error
		text, err = readMost(a.in)
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil && len(text) == 0 {
			return nil, exitWith(exitUsage, errors.New("standard input is empty; to run a command: pacewire try COMMAND; pacewire try --help has examples"))
		}
		return text, err
	case <-ctx.Done():
		return nil, fmt.Errorf("standard input has no end: %w", ctx.Err())
	}
}

// page gets a page as scrape does, which prefers the text formats.
func (o *tryFlags) page(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, exitWith(exitUsage, err)
	}
	request.Header.Set("Accept", prometheus.Accept)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, answer.Status)
	}
	if o.Format == "auto" && strings.HasPrefix(answer.Header.Get("Content-Type"), "application/openmetrics-text") {
		o.Format = "openmetrics"
	}
	return readMost(answer.Body)
}

func readMost(from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxTried+1))
	if err == nil && len(text) > maxTried {
		return nil, fmt.Errorf("more than %d MiB: give it in parts", maxTried>>20)
	}
	return text, err
}
