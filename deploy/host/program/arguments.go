package program

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/command"
	"github.com/userrequestapi/userdata/deploy/host/nearest"
)

var (
	setting = regexp.MustCompile(`^[A-Z][A-Z0-9_]*=`)
	help    = regexp.MustCompile(`^--?h(elp)?$`)
)

// CheckArguments returns an error that says what to type if the arguments of mage are not one of the targets and its
// own arguments, or contain settings or a request for help. targets has the names of the arguments of each target by
// its name.
func CheckArguments(args []string, targets map[string][]string) error {
	names := slices.Sorted(maps.Keys(targets))
	find := func(name string) (string, bool) {
		i := slices.IndexFunc(names, func(target string) bool { return strings.EqualFold(name, target) })
		if i < 0 {
			return "", false
		}
		return names[i], true
	}
	var settings, words []string
	for _, arg := range args {
		if setting.MatchString(arg) {
			settings = append(settings, arg)
		} else {
			words = append(words, arg)
		}
	}
	var line command.Line
	given := strings.Join(words, " ")
	switch {
	case len(settings) > 0:
		return errors.New("settings come before the command: " + strings.TrimSpace(line.Mage(given, settings...)))
	case slices.ContainsFunc(words, help.MatchString):
		return errors.New("for help, run go tool mage: it lists the targets and what they do")
	}
	if target, ok := find(strings.Join(words, ":")); ok && len(words) > 1 {
		return fmt.Errorf("unknown target %s: did you mean %s?", given, line.Mage(target))
	}
	if target, ok := find(words[0]); ok {
		own := 1 + len(targets[target])
		switch {
		case len(words) < own:
			return fmt.Errorf("want %s, got %d arguments",
				line.Mage(target+" "+strings.ToUpper(strings.Join(targets[target], " "))), len(words)-1)
		case len(words) > own:
			return fmt.Errorf("want one target at a time, got %s: run %s", given, line.Mage(strings.Join(words[:own], " ")))
		}
		return nil
	}
	if near, ok := nearest.Name(words[0], names); ok {
		return fmt.Errorf("unknown target %s: did you mean %s?", words[0], line.Mage(near))
	}
	return fmt.Errorf("unknown target %s: go tool mage lists the targets", words[0])
}
