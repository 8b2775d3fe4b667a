package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/process"
	"github.com/pacewire/pacewire/internal/schema"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	apiVersion = 1                // of the contract between plugin and agent
	againWait  = 15 * time.Second // an ACK is awaited 5 s
)

// introduce starts the plugin for the first time, and leaves its hello without an answer. met is told once it is known what it is,
// or that it says nothing.
func (k *kit) introduce(ctx context.Context, g *ground, met chan<- error) {
	w := k.ward(g, "first.1")
	w.silent = true
	defer w.kill()
	if err := w.start(); err != nil {
		met <- err
		return
	}
	if err := w.firstHello(ctx); err != nil {
		k.settle("hello", err, w.stderr)
		met <- err
		return
	}
	met <- nil
	if k.wants("hello") {
		k.settle("hello", w.helloAgain(ctx), w.stderr)
	}
}

// refusal is the scene of a plugin that its agent does not want.
func refusal(s *stage) {
	s.mu.Lock()
	s.refuse = true
	s.mu.Unlock()
	if s.need("refusal", s.start) {
		s.check("refusal", s.refused)
	}
}

// firstHello waits for the first heartbeat, and looks whether it says all.
func (w *ward) firstHello(ctx context.Context) error {
	if err := w.until(ctx, helloWait, "the first heartbeat, on pw.hb.<host>.<plugin>.htb", func() bool { return len(w.all()) > 0 }); err != nil {
		return err
	}
	b := w.all()[0]
	if err := w.examine(b); err != nil {
		return err
	}
	w.kit.meet(*b.Manifest)
	return nil
}

// examine looks whether a heartbeat is a whole hello.
func (w *ward) examine(b beat) error {
	no := func(format string, args ...any) error { return broken(b.body, format, args...) }
	m := b.Manifest
	switch {
	case b.err != nil:
		return no("the heartbeat cannot be read: %v", b.err)
	case b.Host != hostName:
		return no("host is %q: want what PACEWIRE_HOST says, %q", b.Host, hostName)
	case b.Plugin != w.name:
		return no("plugin is %q: want what PACEWIRE_PLUGIN says, %q", b.Plugin, w.name)
	case b.Inst != w.proc.inst:
		return no("inst is %q: want what PACEWIRE_INST says, %q", b.Inst, w.proc.inst)
	case b.Seq != 1:
		return no("the first heartbeat of a process has seq 1, and not %d", b.Seq)
	case !b.Hello:
		return no("hello is not true, though nobody has answered yet")
	case m == nil:
		return no("the hello has no manifest")
	}
	if err := w.examineManifest(*m); err != nil {
		return no("%v", err)
	}
	return w.examineInventory(b)
}

func (w *ward) examineManifest(m telemetry.Manifest) error {
	kinds := []string{"collector", "processor", "publisher"}
	switch {
	case !slices.Contains(kinds, m.Kind):
		return fmt.Errorf("kind is %q: want collector, processor or publisher", m.Kind)
	case w.kit.o.Kind != "" && m.Kind != w.kit.o.Kind:
		return fmt.Errorf("it is a %s, and not a %s", m.Kind, w.kit.o.Kind)
	case m.Program == "":
		return errors.New("the manifest has no program")
	case m.API != apiVersion:
		return fmt.Errorf("api is %d: want %d", m.API, apiVersion)
	case !isObject(m.Schema):
		return fmt.Errorf("schema is no JSON object: an agent could not check the settings")
	}
	s, err := schema.Parse(m.Schema)
	if err != nil {
		return fmt.Errorf("schema is no JSON Schema: %w", err)
	}
	if len(s.Types) > 0 && !slices.Contains(s.Types, "object") {
		return fmt.Errorf("schema is one of type %s: settings are an object", s.Types[0])
	}
	return examineCatalog(m.Catalog)
}

func examineCatalog(catalog []telemetry.Desc) error {
	for _, d := range catalog {
		switch {
		case d.Series == "":
			return errors.New("a series of the catalog has no name")
		case len(d.Fields) == 0:
			return fmt.Errorf("series %s of the catalog has no fields", d.Series)
		}
		for name, letter := range d.Types {
			if _, ok := d.Fields[name]; !ok || !slices.Contains([]string{"f", "i", "u", "b", "s"}, letter) {
				return fmt.Errorf("type %q of field %s of series %s: want f, i, u, b or s, of a field that there is", letter, name, d.Series)
			}
		}
	}
	return nil
}

// examineInventory looks whether the digest of the list is true. Who has no inventory says nothing of one.
func (w *ward) examineInventory(b beat) error {
	if len(b.Inventory) == 0 && b.Digest.IsZero() {
		return nil
	}
	if want := telemetry.InventoryDigest(b.Inventory); b.Digest != want {
		return broken(b.body, "inv is %s: the digest of inv_list is %s, and a hello has the whole list", b.Digest, want)
	}
	if b.Items != uint64(len(b.Inventory)) {
		return broken(b.body, "inv_n is %d, and inv_list has %d", b.Items, len(b.Inventory))
	}
	return nil
}

// helloAgain waits for the second hello, as the first has no answer.
func (w *ward) helloAgain(ctx context.Context) error {
	if err := w.until(ctx, againWait, "another hello, as the first has no answer", func() bool { return len(w.all()) > 1 }); err != nil {
		return err
	}
	switch b := w.all()[1]; {
	case b.err != nil:
		return broken(b.body, "the second heartbeat cannot be read: %v", b.err)
	case !b.Hello || b.Manifest == nil:
		return broken(b.body, "the second heartbeat is no hello with a manifest, though the first has no answer")
	case b.Seq != 2 || b.Inst != w.proc.inst:
		return broken(b.body, "the second heartbeat has seq %d and inst %s: want 2, and the inst of the first", b.Seq, b.Inst)
	}
	return nil
}

// refused looks how the plugin takes a refusal.
func (s *stage) refused() error {
	if err := s.until(s.ctx, helloWait, "a heartbeat to be refused", func() bool { return len(s.all()) > 0 }); err != nil {
		return err
	}
	if !s.proc.wait(s.ctx, drainWait) {
		return broken(s.lastBody(), "it goes on %v after it was refused", drainWait)
	}
	if code := s.proc.Exit().Code; code != 78 {
		return broken(nil, "it ended with %s: want exit code 78, so that it is not started again and again%s", s.proc.exit(), s.proc.lastWords())
	}
	for _, b := range s.all()[1:] {
		if b.Bye == "" {
			return broken(b.body, "it beats on after it was refused")
		}
	}
	return nil
}

const describeWait = 10 * time.Second

// describes looks whether --describe prints the manifest.
func (k *kit) describes(ctx context.Context) error {
	out, words := &tail{most: 1 << 20}, &tail{}
	args := append(slices.Clone(k.o.Command), "--describe")
	p, err := process.Start(process.Command{
		Args: args, Env: append(k.environ(), "HOME="+k.dir, "PACEWIRE_DIR="+filepath.Join(k.dir, "describe")), Stdout: out, Stderr: words, OnParentDeath: syscall.SIGKILL,
	})
	if err != nil {
		return skipped("%v", err)
	}
	_ = p.Stdin().Close()
	r := &running{Process: p, words: words}
	if !r.wait(ctx, describeWait) {
		_ = p.Signal(syscall.SIGKILL)
		<-p.Done()
		return skipped("not offered: --describe does not end within %v", describeWait)
	}
	text := bytes.TrimSpace(out.bytes())
	if p.Exit().Code != 0 || !isObject(text) {
		return skipped("not offered: --describe ends with %s and prints no JSON object", p.Exit())
	}
	m, _, err := telemetry.DecodeManifest(text)
	if err != nil {
		return broken(text, "what --describe prints is no manifest: %v", err)
	}
	return sameManifest(text, m, k.told())
}

// sameManifest compares what --describe prints with what the hello has.
func sameManifest(text []byte, printed, told telemetry.Manifest) error {
	a, b := plain(printed), plain(told)
	for key := range b {
		if !reflect.DeepEqual(a[key], b[key]) {
			return broken(text, "--describe says another %s than the hello", key)
		}
	}
	for key := range a {
		if _, ok := b[key]; !ok {
			return broken(text, "--describe has %s, which the hello has not", key)
		}
	}
	return nil
}

// plain returns v as what JSON has of it.
func plain(v any) map[string]any {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var m map[string]any
	_ = json.Unmarshal(text, &m) // it was just made
	return m
}
