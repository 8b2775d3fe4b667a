package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Machine is what tells one machine from another: digests of three facts, "" for what is unknown. The facts themselves are nobody's
// business: a machine id is to be kept from others.
type Machine struct {
	ID   string `json:"machine_id"`
	DMI  string `json:"dmi_uuid"`
	MACs string `json:"macs"`
}

// salt keeps our digests from being compared with those of other programs.
const salt = "pacewire host identity"

// digestSize is the length of a digest in hex.
const digestSize = 32

// digest returns the digest of a fact, "" of none.
func digest(what, text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(salt + "\x00" + what + "\x00" + text))
	return hex.EncodeToString(sum[:])[:digestSize]
}

// Probe looks at the machine whose file system is mounted at root, which is "/" outside of tests. What cannot be read is unknown.
func Probe(root string) Machine {
	return Machine{
		ID:   digest("machine-id", parseID(readFact(filepath.Join(root, "etc/machine-id")))),
		DMI:  digest("dmi", parseID(readFact(filepath.Join(root, "sys/class/dmi/id/product_uuid")))),
		MACs: digest("macs", strings.Join(addresses(filepath.Join(root, "sys/class/net")), " ")),
	}
}

// readFact reads a file of one line, "" where there is none.
func readFact(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

// parseID reads an id. One that was never set, or that vendors put into every machine, is none.
func parseID(text string) string {
	id := strings.ToLower(strings.TrimSpace(text))
	switch plain := strings.ReplaceAll(id, "-", ""); {
	case plain == "", plain == "uninitialized", plain == "03000200040005000006000700080009":
		return ""
	case strings.Trim(plain, plain[:1]) == "": // all zeroes, or all f
		return ""
	}
	return id
}

// addresses returns the addresses of the network cards below dir, sorted. Interfaces that are no device come and go.
func addresses(dir string) []string {
	cards, err := filepath.Glob(filepath.Join(dir, "*", "device"))
	if err != nil {
		return nil
	}
	var list []string
	for _, c := range cards {
		text := parseID(strings.ReplaceAll(readFact(filepath.Join(filepath.Dir(c), "address")), ":", "-"))
		if text != "" {
			list = append(list, text)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// facts are the digests, each at its place.
func (m Machine) facts() [3]string { return [3]string{m.ID, m.DMI, m.MACs} }

// differs reports whether o is another machine: two of the facts that both know are others. One may change: a card is replaced, or
// the id is made anew.
func (m Machine) differs(o Machine) bool {
	n, theirs := 0, o.facts()
	for i, fact := range m.facts() {
		if fact != "" && theirs[i] != "" && fact != theirs[i] {
			n++
		}
	}
	return n >= 2
}

// with returns m with all that o knows.
func (m Machine) with(o Machine) Machine {
	if o.ID != "" {
		m.ID = o.ID
	}
	if o.DMI != "" {
		m.DMI = o.DMI
	}
	if o.MACs != "" {
		m.MACs = o.MACs
	}
	return m
}

// short returns a few characters that another machine hardly has.
func (m Machine) short() string {
	facts := m.facts()
	return digest("machine", strings.Join(facts[:], " "))[:4]
}

// check refuses what is no digest.
func (m Machine) check() error {
	for i, fact := range m.facts() {
		if _, err := hex.DecodeString(fact); err != nil || fact != "" && len(fact) != digestSize {
			return fmt.Errorf("machine: %s: %.40q is no digest of %d hex digits", []string{"machine_id", "dmi_uuid", "macs"}[i], fact, digestSize)
		}
	}
	return nil
}
