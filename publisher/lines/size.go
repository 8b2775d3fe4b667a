package lines

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// units are what a size ends with, by their bytes: the same as in the rest of a config.
var units = map[string]float64{
	"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

var errSize = errors.New("want a size such as 64MiB or 2GB")

// parseSize returns the bytes that text says; 0 for no text.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number := strings.TrimRight(text, "KMGTiB")
	n, err := strconv.ParseFloat(strings.TrimSuffix(number, " "), 64)
	bytes := n * units[text[len(number):]]
	if err != nil || !(bytes >= 1 && bytes < math.MaxInt64) {
		return 0, errSize
	}
	return int64(bytes), nil
}
