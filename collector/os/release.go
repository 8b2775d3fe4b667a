package os

import (
	"iter"
	"strings"

	"github.com/pacewire/pacewire/internal/machine"
	"github.com/pacewire/pacewire/telemetry"
)

// release reads the name of the distribution, see os-release(5).
func (l linux) release(in *machine.Reader, out telemetry.Facts) {
	file := "etc/os-release"
	if !l.Root.Has(file) {
		file = "usr/lib/os-release"
	}
	keys := map[string]string{
		"ID": "id", "ID_LIKE": "like", "NAME": "name", "PRETTY_NAME": "pretty_name", "VERSION_ID": "version", "VERSION_CODENAME": "codename",
		"VARIANT_ID": "variant", "BUILD_ID": "build", "IMAGE_ID": "image", "IMAGE_VERSION": "image_version",
	}
	for key, value := range assignments(in.MustLines(l.Root, file)) {
		if fact := keys[key]; fact != "" {
			put(out, fact, machine.Clean(value))
		}
	}
}

// assignments returns the variables that a file for the shell sets, such as NAME="Debian GNU/Linux".
func assignments(lines iter.Seq[string]) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for line := range lines {
			key, value, ok := strings.Cut(line, "=")
			if ok && !strings.HasPrefix(key, "#") && !yield(strings.TrimPrefix(key, "export "), unquote(value)) {
				return
			}
		}
	}
}

// unquote takes the quotes off a value of the shell, and off the signs that mean something between them.
func unquote(value string) string {
	if n := len(value); n >= 2 && value[0] == value[n-1] && (value[0] == '"' || value[0] == '\'') {
		quote := value[0]
		value = value[1 : n-1]
		if quote == '"' {
			value = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`").Replace(value)
		}
	}
	return value
}
