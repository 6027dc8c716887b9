package program

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/command"
	"github.com/userrequestapi/userdata/deploy/host/nearest"
)

var (
	setting = regexp.MustCompile(`^[A-Z][A-Z0-9_]*=`)
	help    = regexp.MustCompile(`^--?h(elp)?$`)
	listed  = regexp.MustCompile(`(?m)^ {2}(\S+)`)
)

// CheckArguments returns an error that says what to type if the arguments of mage contain settings or a request for
// help, or begin with an unknown target. list is the output of mage -l, which omits the aliases of targets.
func CheckArguments(args []string, list string, aliases ...string) error {
	targets := aliases
	for _, match := range listed.FindAllStringSubmatch(list, -1) {
		targets = append(targets, match[1])
	}
	known := func(name string) bool {
		return slices.ContainsFunc(targets, func(target string) bool { return strings.EqualFold(name, target) })
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
	given, name := strings.Join(words, " "), strings.Join(words, ":")
	switch {
	case len(settings) > 0:
		return errors.New("settings come before the command: " + strings.TrimSpace(line.Mage(given, settings...)))
	case slices.ContainsFunc(words, help.MatchString):
		return errors.New("for help, run go tool mage: it lists the targets and what they do")
	case len(words) > 1 && known(name):
		return fmt.Errorf("unknown target %s: did you mean %s?", given, line.Mage(name))
	case known(words[0]):
		return nil
	}
	if near, ok := nearest.Name(words[0], targets); ok {
		return fmt.Errorf("unknown target %s: did you mean %s?", words[0], line.Mage(near))
	}
	return fmt.Errorf("unknown target %s: go tool mage lists the targets", words[0])
}
