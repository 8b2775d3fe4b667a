package os

import (
	"iter"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/internal/machine"
	"github.com/pacewire/pacewire/telemetry"
)

// names reads what the machine is called. Nobody is asked for its full name: it is told where the hosts file knows it.
func (l linux) names(in *machine.Reader, out telemetry.Facts) {
	name := l.hostname(in)
	put(out, "hostname", name)
	switch {
	case strings.Contains(name, "."):
		put(out, "fqdn", name)
	case name != "":
		put(out, "fqdn", fullName(in.Lines(l.Root, "etc/hosts"), name))
	}
}

// hostname returns the name of the machine. The kernel's word goes first, but it is that of the namespace that we run in.
func (l linux) hostname(in *machine.Reader) string {
	kernel := in.Word(l.Proc, "sys/kernel/hostname")
	if kernel == "" || l.Root.Foreign() {
		if name := in.Word(l.Root, "etc/hostname"); name != "" {
			return name
		}
	}
	return kernel
}

// fullName returns the name with a domain that a hosts file gives to name.
func fullName(hosts iter.Seq[string], name string) string {
	for line := range hosts {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, name+".") })
		if i > 0 {
			return machine.Clean(words[i])
		}
	}
	return ""
}

// timezone returns the name of the time zone, such as Europe/Vienna.
func (l linux) timezone(in *machine.Reader) string {
	if _, zone, ok := strings.Cut(l.Root.Link("etc/localtime"), "zoneinfo/"); ok {
		return machine.Clean(zone)
	}
	return in.Word(l.Root, "etc/timezone")
}

// locale returns the language that programs of the system are started with.
func (l linux) locale(in *machine.Reader) string {
	for _, file := range []string{"etc/locale.conf", "etc/default/locale", "etc/sysconfig/i18n"} {
		for key, value := range assignments(in.Lines(l.Root, file)) {
			if key == "LANG" {
				return machine.Clean(value)
			}
		}
	}
	return ""
}
