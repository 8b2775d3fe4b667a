package config

import (
	"errors"
	"math"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The keys of a plugin that are about its process.

var limitKeys = []string{"memory", "cpu", "files", "processes"}

// Least limits: with less than these hardly a program starts, so a unit is missing or wrong.
const (
	leastMemory = 1 << 20
	leastFiles  = 16
	leastCPU    = 0.01
	mostCPU     = 4096

	builtinThreads = 16 // with less a built-in may not start: it has about a dozen
)

// roomy warns of a built-in that may not have the threads that it needs.
func (d *definition) roomy() {
	if n := d.Limits.Processes; n > 0 && n < builtinThreads && d.builtin != nil && d.builtin.Path == "" {
		d.warn(d.threads, "write 64: all that it starts counts too", "limits.processes: a built-in has about a dozen threads, with %d it may not start", n)
	}
}

func (d *definition) readLimits(n *yaml.Node) {
	if !d.isMap("limits", n, "{ memory: 200MiB, cpu: 50% }") {
		return
	}
	d.fields("limits", n, map[string]func(*yaml.Node){
		"memory":    func(n *yaml.Node) { d.Limits.Memory = d.memory("limits.memory", n) },
		"cpu":       func(n *yaml.Node) { d.Limits.CPU = d.cores("limits.cpu", n) },
		"files":     func(n *yaml.Node) { d.Limits.Files = d.countFrom("limits.files", n, leastFiles, 1<<20) },
		"processes": func(n *yaml.Node) { d.threads, d.Limits.Processes = n, d.count("limits.processes", n, 1<<20) },
	}, limitKeys)
}

func (s *source) memory(key string, n *yaml.Node) int64 {
	bytes := s.size(key, n)
	if bytes > 0 && bytes < leastMemory {
		s.fault(n, sizeHint(strings.TrimRight(n.Value, "KBi ")), "%s: want at least 1MiB, got %s", key, s.got(n))
		return 0
	}
	return bytes
}

var coresForm = &pattern{text: `^([0-9]+(?:\.[0-9]+)?)(%?)$`}

// cores reads a part of a core in per cent, or cores.
func (s *source) cores(key string, n *yaml.Node) float64 {
	text := s.text(key, n)
	if text == "" {
		return 0
	}
	m := coresForm.re().FindStringSubmatch(text)
	if m == nil {
		s.fault(n, coresHint(text), "%s: want per cent of a core such as 50%%, or cores such as 1.5, got %s", key, s.got(n))
		return 0
	}
	cores, err := strconv.ParseFloat(m[1], 64)
	if m[2] == "%" {
		cores /= 100
	}
	if err != nil || cores < leastCPU || cores > mostCPU {
		s.fault(n, "", "%s: want 1%% to %d cores, got %s", key, mostCPU, s.got(n))
		return 0
	}
	if m[2] == "" && cores >= 10 && math.Mod(cores, 5) == 0 {
		s.warn(n, "for a part of a core write "+m[1]+"%", "%s: %s is %s whole cores", key, s.raw(n), s.raw(n))
	}
	return cores
}

// coresHint knows how containers and units write it.
func coresHint(text string) string {
	number, unit := strings.TrimRight(text, " %m,cores"), strings.TrimLeft(text, "0123456789., ")
	switch {
	case number == "" || !coresForm.re().MatchString(number):
		return ""
	case unit == "m": // thousandths of a core
		thousandths, _ := strconv.ParseFloat(number, 64)
		return "did you mean " + strconv.FormatFloat(thousandths/10, 'f', -1, 64) + "%?"
	case unit == "%":
		return "did you mean " + number + "%?"
	case unit == "core", unit == "cores":
		return "did you mean " + number + "?"
	}
	return ""
}

var userName = &pattern{text: `^([A-Za-z_][A-Za-z0-9_.-]{0,63}\$?|[0-9]{1,10})$`}

// readUser reads who the process belongs to, a name or a number.
func (l *loader) readUser(d *definition, n *yaml.Node) {
	name := d.text("run_as", n)
	switch {
	case name == "":
		return
	case strings.Contains(name, ":"):
		d.fault(n, "its groups are those of the user", "run_as: want a user alone, got %s", d.got(n))
		return
	case !userName.re().MatchString(name):
		d.fault(n, "", "run_as: want the name of a user such as nobody, got %s", d.got(n))
		return
	}
	d.RunAs = name
	if _, bad := strconv.ParseUint(name, 10, 32); l.Offline || bad == nil {
		return
	}
	var unknown user.UnknownUserError
	if err := l.LookUser(name); errors.As(err, &unknown) {
		d.fault(n, "useradd --system "+d.raw(n)+" makes one", "run_as: this machine has no user %s", d.raw(n))
	}
}

func lookUser(name string) error {
	_, err := user.Lookup(name)
	return err
}

// readExit reads what becomes of the process when the agent ends.
func (d *definition) readExit(n *yaml.Node) {
	d.exit, d.Keep = n, d.oneOf("on_agent_exit", n, "stop", "keep") == "keep"
}

// outlives refuses a process that is to go on without its bus: it would look for it where anybody of this machine can listen.
func (l *loader) outlives(d *definition) {
	if d.Keep && !d.Attached && l.out.Bus.Own() {
		d.fault(d.exit, "leave it out, or run a NATS server and name it: bus: nats://127.0.0.1:4222",
			"on_agent_exit: the embedded bus ends with the agent: without it the plugin could not work, and who listens on its port meanwhile would be its bus")
	}
}

var sha256Form = &pattern{text: `^[0-9a-fA-F]{64}$`}

// readSHA256 reads the digest of the executable.
func (d *definition) readSHA256(n *yaml.Node) {
	text := d.text("sha256", n)
	switch {
	case text == "":
	case sha256Form.re().MatchString(text):
		d.pin, d.SHA256 = n, strings.ToLower(text)
	default:
		hint := "sha256sum FILE prints it"
		if rest := strings.TrimPrefix(strings.ToLower(text), "sha256:"); sha256Form.re().MatchString(rest) {
			hint = "did you mean " + rest + "?"
		}
		d.fault(n, hint, "sha256: want 64 digits of 0-9 and a-f, got %s", d.got(n))
	}
}

var interpreter = &pattern{text: `^(python|pypy|perl|ruby|node|deno|php|lua|bash|dash|zsh|ksh|sh|env)[0-9.]*$`}

// pinned checks that there is an executable of the plugin's own to pin.
func (d *definition) pinned() {
	switch {
	case d.pin == nil || d.Attached:
	case d.builtin != nil && d.builtin.Path == "":
		d.fault(d.pin, "remove it", "sha256: %s is a built-in: it is in the program pacewire itself", d.Program)
	case len(d.Run) > 1 && interpreter.re().MatchString(path.Base(d.Run[0])):
		d.warn(d.pin, "make the script executable and name it alone, to have it checked", "sha256: it is of %s, not of what that runs", d.Run[0])
	}
}

// ofProcess are the keys that mean nothing when somebody else starts the process.
var ofProcess = []string{"run", "run_as", "limits", "on_agent_exit", "sha256", "env"}

// attached refuses keys of a process that is not ours.
func (d *definition) attached() {
	if !d.Attached {
		return
	}
	for _, e := range entries(d.val) {
		if slices.Contains(ofProcess, e.name) {
			d.fault(e.key, "remove it, or attached: true", "%s: who starts an attached plugin decides about its process", e.name)
		}
	}
}
