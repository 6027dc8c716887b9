package dynamodb

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/userrequestapi/userdata/deploy/host/process"
)

const (
	oldestJava = 17 // DynamoDB Local's requirement

	// endpointHint ends every error about a missing tool.
	endpointHint = ", or set DYNAMODB_ENDPOINT to a DynamoDB Local that already runs, such as a container:\n\n" +
		"    docker run -d --rm -p 127.0.0.1:8000:8000 amazon/dynamodb-local -jar DynamoDBLocal.jar -sharedDb -inMemory\n" +
		"    DYNAMODB_ENDPOINT=http://127.0.0.1:8000 go tool mage run"
)

// findTools returns the paths of java and, if download is true, npm. The error lists all missing tools.
func findTools(cfg Config, download bool) (java, npm string, err error) {
	var missing []string
	if java, err = findJava(cfg.Java); err != nil {
		missing = append(missing, fmt.Sprintf("Java %d or newer", oldestJava))
	}
	if download {
		if npm, err = find(cfg.NPM, "npm"); err != nil {
			missing = append(missing, "npm (once, to download it)")
		}
	}
	if len(missing) > 0 {
		needs := strings.Join(missing, " and ")
		return "", "", errors.New("DynamoDB Local needs " + needs + ", not found on this machine: install it" + endpointHint)
	}
	return java, npm, nil
}

func findJava(configured string) (string, error) {
	if home := os.Getenv("JAVA_HOME"); configured == "" && home != "" {
		if java, err := find("", filepath.Join(home, "bin", "java")); err == nil {
			return java, nil
		}
	}
	return find(configured, "java")
}

// find returns the absolute path of the command configured, or of standard if configured is empty.
func find(configured, standard string) (string, error) {
	found, err := exec.LookPath(cmp.Or(configured, standard))
	if err != nil {
		return "", err
	}
	return filepath.Abs(found)
}

// checkJava returns an error if java does not run or is too old.
func checkJava(ctx context.Context, java string) error {
	output, err := output(ctx, exec.Command(java, "-version"))
	if err != nil && ctx.Err() == nil {
		// Without Java, macOS has a java command that only prints a message.
		return fmt.Errorf("%s does not run (%w: %s): install Java %d or newer"+endpointHint,
			java, err, causeLine(output), oldestJava)
	}
	if err != nil {
		return fmt.Errorf("check the version of Java: %w", err)
	}
	version, major := javaVersion(output)
	if major == 0 {
		return fmt.Errorf("%s -version: unknown version (%s): install Java %d or newer"+endpointHint,
			java, causeLine(output), oldestJava)
	}
	if major < oldestJava {
		return fmt.Errorf("%s is Java %s, too old for DynamoDB Local: install Java %d or newer, set JAVA_HOME to its folder"+
			endpointHint, java, version, oldestJava)
	}
	return nil
}

var versionLine = regexp.MustCompile(`version "((?:1\.)?(\d+)[^"]*)"`)

// javaVersion parses the output of java -version: "1.8.0_392" is Java 8, "17.0.15" Java 17, "26-ea" Java 26. major is 0
// if the version is unknown.
func javaVersion(output string) (version string, major int) {
	match := versionLine.FindStringSubmatch(output)
	if match == nil {
		return "", 0
	}
	major, err := strconv.Atoi(match[2])
	if err != nil {
		return "", 0
	}
	return match[1], major
}

// output runs cmd and returns its standard output and standard error.
func output(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	err := process.Run(ctx, cmd)
	return printed.String(), err
}
