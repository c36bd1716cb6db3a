/**
 * The program that a test runs as another user: `node extract-as.ts TAR DIRECTORY ENTRIES`.
 * Prints the notes and the failure as lines of JSON.
 */
import { readFileSync } from 'node:fs'
import { OsflashError } from '../../../src/errors.ts'
import { openTreeSink } from '../../../src/unpack/tree/tree-sink.ts'

const [tar = '', directory = '', entries = ''] = process.argv.slice(2)
const print = (line: unknown) => console.log(JSON.stringify(line))

const sink = openTreeSink({ directory, entries: Number(entries), emit: print })
try {
  await sink.write(readFileSync(tar))
  await sink.end()
} catch (error) {
  if (!(error instanceof OsflashError)) throw error
  print({ code: error.code, message: error.message, hints: error.hints })
}
