package dynamodb

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/userrequestapi/userdata/deploy/host/cache"
)

// Class archives: Java starts in half the time if it maps parsed and verified classes from an archive (class-data
// sharing, JEP 350). Java writes the archive when it ends. During the first run, a second DynamoDB Local does that in
// the background, at the lowest priority. An archive is valid for one build of Java and one path of the JAR files.

const (
	archiveDelay = 3 * time.Second  // after the start, so that a short run writes no archive
	archiveGrace = 10 * time.Minute // to write the archive on a busy machine
)

// writePlainJar copies a JAR file without its manifest. Its class path includes the folder of the JAR file, for which
// Java does not support class-data sharing.
func writePlainJar(original, name string) (err error) {
	source, err := zip.OpenReader(original)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	unfinished, err := os.Create(name + ".new") // the lock of the cache entry makes a fixed name safe
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, unfinished.Close()); err == nil {
			err = os.Rename(unfinished.Name(), name)
		}
	}()
	target := zip.NewWriter(unfinished)
	for _, entry := range source.File {
		if entry.Name == "META-INF/MANIFEST.MF" {
			continue
		}
		if err := target.Copy(entry); err != nil {
			return err
		}
	}
	return errors.Join(target.Close(), unfinished.Sync())
}

// classPath returns the JAR files in the order of the original manifest.
func (p program) classPath() string {
	jars, _ := fs.Glob(os.DirFS(p.dir), libDir+"/*.jar") // not filepath.Glob: the path may contain pattern characters
	files := []string{filepath.Join(p.dir, plainJar)}
	for _, jar := range jars {
		files = append(files, filepath.Join(p.dir, jar))
	}
	return strings.Join(files, string(filepath.ListSeparator))
}

// archive returns the class archive for a java command.
func (p program) archive(java string) cache.Entry {
	key := filepath.Join(p.dir, plainJar) + "\n" + java
	if resolved, err := filepath.EvalSymlinks(java); err == nil {
		if info, err := os.Stat(resolved); err == nil { // changes with an update of Java
			key += fmt.Sprintf("\n%s\n%d\n%d", resolved, info.Size(), info.ModTime().UnixNano())
		}
	}
	sum := sha256.Sum256([]byte(key))
	file := filepath.Join(p.dir, hex.EncodeToString(sum[:8])+".jsa")
	return cache.Entry{Path: file, What: "the class archive of DynamoDB Local", Has: func() bool {
		_, err := os.Stat(file)
		return err == nil
	}}
}

// writeArchive runs a second DynamoDB Local to write the class archive, until ctx ends. The database works without an
// archive, so errors are ignored and the next run retries.
func writeArchive(ctx context.Context, archive cache.Entry, cfg Config) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(archiveDelay):
	}
	cfg.archive = archive.Path + ".new"
	_ = archive.Fill(ctx, func(string) {}, func() error {
		err := train(ctx, cfg)
		if err == nil {
			err = os.Rename(cfg.archive, archive.Path)
		}
		return errors.Join(err, os.RemoveAll(cfg.archive))
	})
}

// train runs a DynamoDB Local that writes its class archive.
func train(ctx context.Context, cfg Config) error {
	s, err := Start(ctx, cfg)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.process.Kill() })
	defer stop()
	if err := errors.Join(sendRequests(ctx, s.endpoint), s.Close()); err != nil {
		return err
	}
	if s.process.State().ExitCode() < 0 {
		return errors.New("write the class archive: Java was killed")
	}
	return nil
}

// sendRequests sends the kinds of requests that the functions send, so that their classes are loaded.
func sendRequests(ctx context.Context, endpoint string) error {
	table, id := aws.String("Archive"), map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "1"}}
	client := Connect(endpoint)
	_, err := EnsureTables(ctx, client, []map[string]any{{
		"TableName": *table, "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []map[string]any{{"AttributeName": "id", "AttributeType": "S"}},
		"KeySchema":            []map[string]any{{"AttributeName": "id", "KeyType": "HASH"}},
	}}, func(string) {})
	if err != nil {
		return err
	}
	condition := aws.String("attribute_not_exists(id)")
	_, put := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: table, Item: id, ConditionExpression: condition})
	_, get := client.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: id})
	_, scan := client.Scan(ctx, &dynamodb.ScanInput{TableName: table})
	_, remove := client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: id})
	return errors.Join(put, get, scan, remove)
}
