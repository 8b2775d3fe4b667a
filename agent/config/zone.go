package config

import (
	"strings"
	"time"
)

// What is wrong with the name of a time zone.
const (
	noSuchZone  = "there is no such time zone"
	noZoneFiles = "this machine has no time zone files"
)

// findZone looks a time zone up; without one it says why, and the way out.
func findZone(name string, load func(string) (*time.Location, error)) (zone *time.Location, fault, hint string) {
	zone, err := load(name)
	if err == nil && name != "Local" {
		return zone, "", ""
	}
	if name == "Local" {
		return nil, noSuchZone, "leave it out for the zone of the machine"
	}
	if _, err := load("Europe/London"); err != nil {
		return nil, noZoneFiles, "install tzdata, or leave it out for the machine's own zone"
	}
	return nil, noSuchZone, zoneHint(name, load)
}

var zoneRegions = []string{"Europe", "America", "Asia", "Africa", "Australia", "Pacific", "Atlantic", "Indian", "Antarctica"}

var zoneOffset = &pattern{text: `^(?i:UTC|GMT)?([+-])0?([0-9]{1,2})(?::?00)?$`}

// zoneHint guesses the zone meant by its place alone, by one in a wrong region or spelling, and by an offset.
func zoneHint(name string, load func(string) (*time.Location, error)) string {
	_, place, found := strings.Cut(name, "/")
	if !found {
		place = name
	}
	for _, region := range zoneRegions {
		try := region + "/" + titled(place)
		if _, err := load(try); err == nil {
			return "did you mean " + try + "?"
		}
	}
	if m := zoneOffset.re().FindStringSubmatch(name); m != nil {
		// The names Etc/GMT+5 count westwards.
		try := "Etc/GMT" + map[string]string{"+": "-", "-": "+"}[m[1]] + m[2]
		if _, err := load(try); err == nil {
			return "did you mean " + try + "? the sign of these names is turned about"
		}
	}
	if _, err := load(strings.ToUpper(name)); err == nil {
		return "did you mean " + strings.ToUpper(name) + "?"
	}
	return "it is named by a place, such as Europe/Berlin or America/New_York"
}

// titled writes a place as zone files do: New_York.
func titled(place string) string {
	parts := strings.FieldsFunc(strings.ToLower(place), func(r rune) bool { return r == ' ' || r == '_' })
	for i, part := range parts {
		parts[i] = strings.ToUpper(part[:1]) + part[1:]
	}
	return strings.Join(parts, "_")
}
