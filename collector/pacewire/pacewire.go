// Package pacewire collects which build of this program a machine runs.
package pacewire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/machine"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is empty: a program knows itself.
type Config struct{}

// Define describes the pacewire collector.
func Define() plugin.Definition {
	return collector.DefineInventory(collector.InventorySpec[Config]{
		Program: "pacewire",
		Summary: "Inventory: version, build, modules and file of the pacewire that runs on this machine.",
		New:     New,
	})
}

// New returns a collector of the facts about the program that calls it.
func New(_ context.Context, _ Config, env plugin.Env) (collector.Inventory, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program's own file: %w", err)
	}
	running := path
	if runtime.GOOS == "linux" {
		running = "/proc/self/exe" // the file that was started, even when another one stands in its place by now
	}
	return self{host: env.Host, plugin: env.Name, path: path, running: running, build: debug.ReadBuildInfo}, nil
}

// self is the program that runs.
type self struct {
	host, plugin string
	path         string // where it was started from
	running      string // a file with what runs
	build        func() (*debug.BuildInfo, bool)
}

// Survey puts the facts into out.
func (s self) Survey(ctx context.Context, out telemetry.Facts) error {
	out["host"], out["plugin"] = machine.Clean(s.host), machine.Clean(s.plugin)
	out["go"] = map[string]string{"version": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH}
	if info, ok := s.build(); ok {
		tell(info, out)
	}
	f, err := s.file(ctx)
	out["program"] = f
	return err
}

// tell puts in what the linker noted about the build.
func tell(info *debug.BuildInfo, out telemetry.Facts) {
	out["version"] = info.Main.Version
	build := map[string]any{}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			build["revision"] = setting.Value
		case "vcs.time":
			build["time"] = setting.Value
		case "vcs.modified":
			build["modified"] = setting.Value == "true"
		case "-tags":
			build["tags"] = setting.Value
		}
	}
	if len(build) > 0 {
		out["build"] = build
	}
	modules := map[string]string{}
	for _, m := range info.Deps {
		for m.Replace != nil {
			m = m.Replace
		}
		modules[m.Path] = m.Version
	}
	out["modules"] = modules
}

// file is the program's own.
type file struct {
	Path     string `json:"path"`
	Replaced bool   `json:"replaced,omitzero"` // another file stands there now, or none: what runs is older
	SHA256   string `json:"sha256,omitzero"`
	Size     int64  `json:"size,omitzero"` // bytes
}

func (s self) file(ctx context.Context) (file, error) {
	f := file{Path: machine.Clean(s.path)}
	open, err := os.Open(s.running)
	if err != nil {
		return f, err
	}
	defer open.Close()
	info, err := open.Stat()
	if err != nil {
		return f, err
	}
	f.Size = info.Size()
	there, err := os.Stat(s.path)
	f.Replaced = errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(there, info)
	f.SHA256, err = sum(ctx, open)
	return f, err
}

// sum returns the digest of a file; of a large one it takes a tenth of a second.
func sum(ctx context.Context, open io.Reader) (string, error) {
	digest := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		_, err := io.CopyN(digest, open, 1<<20)
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(digest.Sum(nil)), nil
		}
		if err != nil {
			return "", err
		}
	}
}
