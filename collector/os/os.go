// Package os collects what operating system a machine runs.
package os

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"runtime"
	"strings"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/machine"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set.
type Config struct {
	Proc machine.Dir `json:"proc" jsonschema:"where procfs is mounted"`
	Sys  machine.Dir `json:"sys" jsonschema:"where sysfs is mounted"`
	Root machine.Dir `json:"root" jsonschema:"where the root of the machine is mounted; a container that watches its machine sets it together with proc and sys"`
}

// Define describes the os collector.
func Define() plugin.Definition {
	return collector.DefineInventory(collector.InventorySpec[Config]{
		Program: "os",
		Summary: "Inventory: distribution, kernel, names, time zone, locale and security modules of this machine.",
		Config:  Config{Proc: "/proc", Sys: "/sys", Root: "/"},
		New:     New,
	})
}

// Validate reports missing paths.
func (c Config) Validate() error {
	return errors.Join(c.Proc.Check("proc", "/proc"), c.Sys.Check("sys", "/sys"), c.Root.Check("root", "/"))
}

// New returns a collector of the facts about the operating system.
func New(_ context.Context, cfg Config, _ plugin.Env) (collector.Inventory, error) {
	if runtime.GOOS != "linux" {
		return plain{}, nil
	}
	return linux{cfg}, nil
}

// plain knows what the standard library knows of any system.
type plain struct{}

func (plain) Survey(_ context.Context, out telemetry.Facts) error {
	name, err := os.Hostname()
	put(out, "id", runtime.GOOS)
	put(out, "arch", runtime.GOARCH)
	put(out, "hostname", machine.Clean(name))
	return err
}

// linux reads what a Linux system tells.
type linux struct{ Config }

// Survey puts the facts into out. Those that a machine does not tell are left out.
func (l linux) Survey(ctx context.Context, out telemetry.Facts) error {
	var in machine.Reader
	l.release(&in, out)
	l.kernel(&in, out)
	l.names(&in, out)
	l.security(&in, out)
	put(out, "arch", runtime.GOARCH)
	put(out, "timezone", l.timezone(&in))
	put(out, "locale", l.locale(&in))
	put(out, "boot_id", in.Word(l.Proc, "sys/kernel/random/boot_id"))
	put(out, "init", in.Try(l.Proc, "1/comm"))
	put(out, "machine_id_digest", digest(in.Word(l.Root, "etc/machine-id")))
	return in.Err(ctx)
}

// put adds a fact that is known.
func put(out telemetry.Facts, key, value string) {
	if value != "" {
		out[key] = value
	}
}

func (l linux) kernel(in *machine.Reader, out telemetry.Facts) {
	kernel := map[string]string{}
	for key, value := range map[string]string{
		"name":    in.Word(l.Proc, "sys/kernel/ostype"),
		"release": in.Must(l.Proc, "sys/kernel/osrelease"),
		"version": in.Word(l.Proc, "sys/kernel/version"),
		"arch":    in.Word(l.Proc, "sys/kernel/arch"), // since Linux 6.1
	} {
		if value != "" {
			kernel[key] = value
		}
	}
	if len(kernel) > 0 {
		out["kernel"] = kernel
	}
}

// security tells which security modules are at work. Where sysfs is away nothing is known about them.
func (l linux) security(in *machine.Reader, out telemetry.Facts) {
	if !l.Sys.Has("kernel") {
		return
	}
	out["selinux"] = state(in.Try(l.Sys, "fs/selinux/enforce"), "1", "enforcing", "0", "permissive")
	out["apparmor"] = state(in.Try(l.Sys, "module/apparmor/parameters/enabled"), "Y", "enabled")
	if modules := in.Try(l.Sys, "kernel/security/lsm"); modules != "" {
		out["security_modules"] = strings.Split(modules, ",")
	}
}

// state returns the word that follows value in pairs, and for any other value that the module is disabled.
func state(value string, pairs ...string) string {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] == value {
			return pairs[i+1]
		}
	}
	return "disabled"
}

// digest returns what stands for the id of the machine, which is a secret by machine-id(5): it must not travel itself.
func digest(id string) string {
	if len(id) != 32 { // "uninitialized", or empty in an image
		return ""
	}
	mac := hmac.New(sha256.New, []byte(id))
	mac.Write([]byte("pacewire"))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
