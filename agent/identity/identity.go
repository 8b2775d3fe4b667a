// Package identity gives a machine the id that outlives its name.
package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// fileName is the file in the state folder of the agent.
const fileName = "identity.json"

// highestGen is as far as every language can count.
const highestGen = 1 << 53

// An Identity is who this machine is to the hubs, at this start of the agent.
type Identity struct {
	ID     string // stable id of the host
	Old    string // the id before, of which this machine is a clone; "": it is none
	Notice string // what an operator should know of how the id came about; "": nothing

	file string
	lock *os.File // while it is open nobody else opens the folder
	mu   sync.Mutex
	note note
}

// Gen counts the starts: it is higher with each, whatever the clock says.
func (i *Identity) Gen() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.note.Gen
}

// Cloned reports whether the state folder came from another machine.
func (i *Identity) Cloned() bool { return i.Old != "" }

// Raise makes Gen at least so high, for this start and those to come: a hub knows a start of this host that this folder does not.
// When that cannot be kept, Gen is what was asked for all the same, and the error says why the next start may be lower.
func (i *Identity) Raise(atLeast uint64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if atLeast > highestGen {
		return fmt.Errorf("raise the generation of %s to %d: at most %d is taken", i.file, atLeast, uint64(highestGen))
	}
	if atLeast <= i.note.Gen {
		return nil
	}
	i.note.Gen = atLeast
	return write(i.file, i.note)
}

// Close lets another agent have the state folder. That the process ends does as well.
func (i *Identity) Close() error { return i.lock.Close() }

// Open returns the identity that the state folder dir holds, and counts this start. The folder is this process's until Close. At the first start the id is name, which the
// host is called, in lower case. When probe says that the folder came from another machine, this one gets an id of its own. Errors: ErrInUse.
func Open(dir, name string, probe Machine) (*Identity, error) {
	name = strings.TrimSpace(name)
	if err := checkID(name); err != nil {
		return nil, fmt.Errorf("name of this host %q: %w: write host: in the config", name, err)
	}
	name = strings.ToLower(name)
	return open(dir, func(n *note, i *Identity) {
		if n.ID == "" {
			n.ID, n.NameAtFirst = name, name
		} else if n.Machine.differs(probe) {
			i.Old = n.ID
			n.leave(ownID(name, n.ID, probe))
			i.Notice = fmt.Sprintf("state folder comes from another machine: this one is %s from now on, no longer %s", n.ID, i.Old)
		}
		n.Machine = n.Machine.with(probe)
	})
}

// OpenAs is Open for a host whose id the config says: nothing is compared. Errors: ErrInUse.
func OpenAs(dir, id string, probe Machine) (*Identity, error) {
	if err := checkID(id); err != nil {
		return nil, fmt.Errorf("host: %q: %w", id, err)
	}
	return open(dir, func(n *note, _ *Identity) {
		switch n.ID {
		case id:
		case "":
			n.ID, n.NameAtFirst = id, id
		default:
			n.leave(id)
		}
		n.Machine = n.Machine.with(probe)
	})
}

// open reads the file, lets settle say who this is, and writes the next start.
func open(dir string, settle func(*note, *Identity)) (_ *Identity, err error) {
	i := &Identity{file: filepath.Join(dir, fileName)}
	if i.lock, err = lock(dir); err != nil {
		return nil, fmt.Errorf("identity of this host: %w", err)
	}
	defer func() {
		if err != nil {
			i.lock.Close()
		}
	}()
	n, err := read(i.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, errTruncated):
		i.Notice = fmt.Sprintf("%s is not whole, as after a power cut: this host begins anew, and counts its starts from 1", i.file)
	case err != nil:
		return nil, fmt.Errorf("identity of this host: %w: mend %s, or remove it to begin anew under the name of the host", err, i.file)
	}
	settle(&n, i)
	n.Gen = min(n.Gen+1, highestGen)
	if err := write(i.file, n); err != nil {
		return nil, fmt.Errorf("keep identity of this host: %w: the agent needs a folder that it may write to", err)
	}
	i.ID, i.note = n.ID, n
	return i, nil
}

// ownID returns the id of a clone of old that is called name.
func ownID(name, old string, m Machine) string {
	if name != old {
		return name
	}
	return name + "-" + m.short()
}

// leave gives n another id, and notes the one before.
func (n *note) leave(id string) {
	n.Former = append(n.Former, former{ID: n.ID, Until: time.Now().UTC().Format(time.RFC3339)})
	n.Former = n.Former[max(0, len(n.Former)-mostFormer):]
	n.ID = id
}

// longestID is more than any host name has.
const longestID = 255

// checkID refuses what is no id.
func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("it is empty")
	case len(id) > longestID:
		return fmt.Errorf("it has %d bytes, at most %d are taken", len(id), longestID)
	case !utf8.ValidString(id) || strings.ContainsFunc(id, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return errors.New("it has blanks or characters that nobody sees")
	}
	return nil
}
