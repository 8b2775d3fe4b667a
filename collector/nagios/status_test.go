package nagios

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/internal/decode/nagios"
)

// letters are states by their first letters.
var letters = map[rune]nagios.State{'O': nagios.OK, 'W': nagios.Warning, 'C': nagios.Critical, 'U': nagios.Unknown}

// TestStatus runs a check through states, a letter each, and tells after each run the hard state in small letters, - before there is
// one, an attempt where the problem is soft, and a ! where an event is raised.
func TestStatus(t *testing.T) {
	f := func(attempts int, found, want string) {
		t.Helper()
		var s status
		var got []string
		for _, letter := range found {
			before := s
			var changed bool
			s, changed = s.next(letters[letter], attempts)
			text := strings.ToLower((s.Hard + "-")[:1])
			if s.soft() {
				text += fmt.Sprint(s.Attempt)
			}
			if changed {
				text += "!"
			}
			if changed != (s.Hard != before.Hard && (before.Hard != "" || s.Hard != well)) {
				t.Errorf("from %+v to %+v it is %v that it has changed", before, s, changed)
			}
			got = append(got, text)
		}
		if all := strings.Join(got, " "); all != want {
			t.Errorf("%s with %d attempts: %s, want %s", found, attempts, all, want)
		}
	}
	f(1, "OOCCO", "o o c! c o!")
	f(1, "COWCUO", "c! o! w! c! u! o!")
	f(3, "OCO", "o o1 o")
	f(3, "OCCO", "o o1 o2 o")
	f(3, "OCCCCO", "o o1 o2 c! c o!")
	f(3, "OCCOCCC", "o o1 o2 o o1 o2 c!")
	f(3, "OWCUO", "o o1 o2 u! o!")
	f(3, "OCCCWWCO", "o o1 o2 c! w! w c! o!")
	f(3, "CCCO", "-1 -2 c! o!")
	f(3, "CO", "-1 o")
	f(2, "OUUUO", "o o1 u! u o!")
}

// An operator who asks for fewer attempts does not have to wait for a problem to pass.
func TestStatusWithFewerAttempts(t *testing.T) {
	s, changed := status{Hard: well, Attempt: 4}.next(nagios.Critical, 2)
	if !changed || s.Hard != "CRITICAL" || s.soft() {
		t.Errorf("%+v, %v", s, changed)
	}
}
