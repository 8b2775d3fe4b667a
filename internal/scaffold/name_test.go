package scaffold

import (
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	languages := map[string]*Language{}
	for _, l := range Languages() {
		languages[l.Name] = l
	}
	f := func(lang, name string, want ...string) {
		t.Helper()
		err := CheckName(name, languages[lang], []string{"host", "lines"})
		if err == nil || len(want) == 0 {
			if err != nil || len(want) > 0 {
				t.Errorf("%s %q: %v, want %q", lang, name, err, want)
			}
			return
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s %q: %v does not say %q", lang, name, err, part)
			}
		}
	}
	for _, name := range []string{"fan", "fan-2", "2nd_fan", strings.Repeat("x", 63)} {
		f("go", name)
		f("python", name)
	}
	f("go", "", "empty")
	f("go", "Fan", "did you mean fan?")
	f("go", "my fan!", "did you mean my-fan?")
	f("go", "../fan", "did you mean fan?")
	f("go", "-fan", "did you mean fan?")
	f("go", "Ü", "begins with a letter")
	f("go", strings.Repeat("x", 64), "at most 63 long")
	f("sh", "agent", "reserved", "such as my-agent")
	f("sh", "all", "reserved")
	f("sh", "send", "reserved")
	f("node", "host", "a program of pacewire is called so", "such as my-host")
	f("python", "queue", "queue.py", "module queue of Python", "such as my-queue")
	f("python", "py-compile", "module py_compile")
	f("go", "queue")
}
