// Package packages collects which packages are installed on a machine.
package packages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/machine"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set.
type Config struct {
	Root machine.Dir `json:"root" jsonschema:"where the root of the machine is mounted"`
	Most int         `json:"most" jsonschema:"how many packages are listed at most; all of them are counted"`
}

const (
	maxMost = 50_000
	maxText = 4 << 20 // bytes of names and versions: twice that is what can be sent at all
)

// Define describes the packages collector.
func Define() plugin.Definition {
	return collector.DefineInventory(collector.InventorySpec[Config]{
		Program: "packages",
		Summary: "Inventory: packages installed by dpkg, apk or pacman on this machine, with their versions.",
		Config:  Config{Root: "/", Most: 20_000},
		New:     New,
	})
}

// Validate reports a missing path, and a limit that cannot be kept.
func (c Config) Validate() error {
	faults := []error{c.Root.Check("root", "/")}
	if c.Most < 1 || c.Most > maxMost {
		faults = append(faults, fmt.Errorf("most %d: want 1 to %d", c.Most, maxMost))
	}
	return errors.Join(faults...)
}

// New returns a collector of the packages.
func New(_ context.Context, cfg Config, _ plugin.Env) (collector.Inventory, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("packages on %s: %w", runtime.GOOS, plugin.ErrNoData)
	}
	return packages{cfg}, nil
}

type packages struct{ Config }

// item is an installed package: name, version, architecture.
type item [3]string

// A survey is one look at the databases of a machine.
type survey struct {
	Config
	machine.Reader
	count     int
	text      int // bytes of the items
	truncated bool
}

// Survey puts the packages into out.
func (p packages) Survey(ctx context.Context, out telemetry.Facts) error {
	s := &survey{Config: p.Config}
	found, lists := []string{}, map[string][]item{}
	for _, m := range managers() {
		if !m.here(s.Root) {
			continue
		}
		found = append(found, m.name)
		if list := s.list(ctx, m); len(list) > 0 {
			lists[m.name] = list
		}
	}
	if len(found) == 0 {
		s.Fault(missing(s.Root))
		return s.Err(ctx)
	}
	out["managers"], out["count"], out["packages"] = found, s.count, lists
	if s.truncated {
		out["truncated"] = true
	}
	return s.Err(ctx)
}

// list returns the packages of a manager, sorted.
func (s *survey) list(ctx context.Context, m manager) []item {
	var list []item
	for it, err := range m.read(s.Root) {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			s.Fault(fmt.Errorf("%s: %w", m.name, err))
			continue
		}
		s.count++
		for i := range it {
			it[i] = machine.Clean(it[i])
			s.text += len(it[i])
		}
		if s.count > s.Most || s.text > maxText {
			s.truncated = true
			continue
		}
		list = append(list, it)
	}
	slices.SortFunc(list, func(a, b item) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[2], b[2]), cmp.Compare(a[1], b[1]))
	})
	return list
}

// missing says that there is no database that we know.
func missing(root machine.Dir) error {
	var files []string
	for _, m := range managers() {
		files = append(files, m.files...)
	}
	return fmt.Errorf("no package manager below %s: looked for %s: %w", root, strings.Join(files, ", "), fs.ErrNotExist)
}
