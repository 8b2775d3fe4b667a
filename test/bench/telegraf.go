package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/internal/loadtest"
)

// telegrafBeside does the same work with a Telegraf binary, if there is one: socket to HTTP in one process, filter and tag
// in it. It has no bus in between, which favours it.
func telegrafBeside(ctx context.Context, s settings) ([]row, error) {
	if s.telegraf == "" {
		return nil, nil
	}
	sink, err := loadtest.NewSink(s.points, nil)
	if err != nil {
		return nil, err
	}
	defer sink.Close()
	listen := fmt.Sprintf("127.0.0.1:%d", lab.FreePort())
	path := filepath.Join(s.dir, "telegraf.conf")
	if err := os.WriteFile(path, []byte(telegrafConfig(listen, sink.URL)), 0o600); err != nil {
		return nil, err
	}
	var log bytes.Buffer
	c := exec.CommandContext(ctx, s.telegraf, "--config", path)
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
	}()
	begin, err := deliverWhenReady(ctx, listen, sink, s.points)
	if err != nil {
		return []row{{"Telegraf: socket to HTTP in one process", err.Error(), "", "", "", noBar}}, nil
	}
	took := time.Since(begin)
	cpu, err := lab.CPU(c.Process.Pid)
	n := float64(s.points)
	return []row{{"Telegraf: socket to HTTP in one process, points/s and CPU µs a point",
		fmt.Sprintf("%.0f, %.2f", n/took.Seconds(), float64(cpu.Nanoseconds())/1e3/n), "no bus in between", "", "", noBar}}, err
}

// deliverWhenReady delivers as soon as the listener is there.
func deliverWhenReady(ctx context.Context, listen string, sink *loadtest.Sink, n int) (begin time.Time, err error) {
	for range 100 {
		begin = time.Now()
		if err = deliver(ctx, listen, sink, loadtest.Load{Points: n}); !errors.Is(err, syscall.ECONNREFUSED) {
			return begin, err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return begin, err
}

func telegrafConfig(listen, url string) string {
	return fmt.Sprintf(`[agent]
  interval = "10s"
  flush_interval = "100ms"
  metric_batch_size = 8000
  metric_buffer_limit = 20000000
  omit_hostname = true
[[inputs.socket_listener]]
  service_address = "tcp://%s"
  data_format = "influx"
[[processors.override]]
  [processors.override.tags]
    site = "lab"
[[outputs.http]]
  url = %q
  method = "POST"
  data_format = "influx"
  [outputs.http.tagdrop]
    keep = ["no"]
`, listen, url)
}
