package deliverytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// settings are those of the publisher under test, in one of our own.
type settings struct {
	Settings map[string]any `json:"settings" jsonschema:"of the publisher under test"`
}

// give offers the publisher its work, unless it has it.
func (r *run) give() {
	r.Helper()
	if r.work.Config != nil {
		return
	}
	inner := map[string]any{}
	if r.sink.Settings != "" {
		if err := json.Unmarshal([]byte(r.sink.Settings), &inner); err != nil {
			r.Fatalf("settings %s: %v", r.sink.Settings, err)
		}
	}
	text, err := json.Marshal(settings{inner})
	if err != nil {
		r.Fatal(err)
	}
	r.work.Config = text
	r.agent.Give(name, r.work)
}

// tampered is a publisher that is slower than it would be, or dies.
type tampered struct {
	publisher.Publisher
	delay time.Duration
	kill  int // the process ends after so many calls that went well; 0: it does not
}

// tamper returns d with its publishers as edit makes them.
func tamper(d plugin.Definition, edit func(*tampered)) plugin.Definition {
	return publisher.Define(publisher.Spec[settings]{
		Program: d.Program, Summary: d.Summary, Config: settings{map[string]any{}},
		New: func(ctx context.Context, cfg settings, env plugin.Env) (publisher.Publisher, error) {
			text, err := json.Marshal(cfg.Settings)
			if err != nil {
				return nil, err
			}
			p, err := d.Build(ctx, text, env)
			if err != nil {
				return nil, err
			}
			inner, ok := p.(publisher.Publisher)
			if !ok {
				return nil, plugin.Permanent(fmt.Errorf("%s is no publisher", d.Program))
			}
			t := &tampered{Publisher: inner}
			if edit != nil {
				edit(t)
			}
			return t, nil
		},
	})
}

// Publish calls the publisher, slowly, and may be the last that the process does.
func (p *tampered) Publish(ctx context.Context, in *telemetry.Batch) error {
	time.Sleep(p.delay)
	err := p.Publisher.Publish(ctx, in)
	if err == nil && p.kill > 0 {
		if p.kill--; p.kill == 0 {
			self, _ := os.FindProcess(os.Getpid())
			_ = self.Kill()
			select {} // until it takes effect
		}
	}
	return err
}

// Batching is that of the publisher.
func (p *tampered) Batching() publisher.Batching {
	if b, ok := p.Publisher.(publisher.Batcher); ok {
		return b.Batching()
	}
	return publisher.Batching{}
}

// Close closes the publisher.
func (p *tampered) Close() error {
	if c, ok := p.Publisher.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// victimVariable makes a test process a plugin that ends itself after so many calls.
const victimVariable = "PACEWIRE_DELIVERYTEST_KILL"

// startVictim runs the publisher in a process of its own, which ends itself when its sink has confirmed so many batches.
func (r *run) startVictim(calls int) {
	r.Helper()
	r.give()
	test, _, _ := strings.Cut(r.Name(), "/")
	c := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.timeout=5m")
	c.Env = append(os.Environ(), victimVariable+"="+strconv.Itoa(calls), "PACEWIRE_BUS="+r.bus.URL,
		"PACEWIRE_HOST="+host, "PACEWIRE_PLUGIN="+name, "PACEWIRE_DIR="+r.TempDir())
	c.Stdout, c.Stderr = r.Output(), r.Output()
	err := c.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Exited() {
		r.Fatalf("the process was to be killed, but: %v", err)
	}
}

// victim is what the process does that startVictim starts.
func victim(d plugin.Definition) int {
	calls, err := strconv.Atoi(os.Getenv(victimVariable))
	if err != nil {
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d = tamper(d, func(p *tampered) { p.kill = calls })
	return plugin.Run(ctx, d, nil, os.Stdin, os.Stdout, os.Stderr, os.Environ())
}
