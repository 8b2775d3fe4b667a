package lines

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// The program as it runs, with the outlet that all streams have: what many connections send comes out once, and unspoilt.
func TestProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	settings, err := json.Marshal(map[string]any{"listen": "unix://" + path})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, logs texttest.Buffer
	done := make(chan int, 1)
	go func() {
		done <- plugin.Run(ctx, Define(), []string{"--once", "--config", string(settings)}, strings.NewReader(""), &out, &logs, nil)
	}()
	const conns, each = 4, 3000
	until(t, "the socket", func() bool { return logs.Count("listening") > 0 })
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if _, err := io.WriteString(c, text(i*each, each)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	until(t, fmt.Sprintf("%d points", conns*each), func() bool { return out.Count("\n") >= conns*each })
	cancel()
	if status := <-done; status != 0 {
		t.Fatalf("status %d: %s", status, &logs)
	}
	seen := make([]bool, conns*each)
	var b telemetry.Batch
	for line := range bytes.Lines([]byte(out.String())) {
		if err := b.DecodeJSON(line, time.Time{}); err != nil || b.Len() != 1 {
			t.Fatalf("%s: %v", line, err)
		}
		for p := range b.Points() {
			n := p.Fields["n"].(int64)
			check(t, []telemetry.Point{p}, int(n))
			if seen[n] {
				t.Errorf("point %d twice", n)
			}
			seen[n] = true
		}
	}
}
