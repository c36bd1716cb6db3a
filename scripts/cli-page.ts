/**
 * The page about the command line: the program's own help, verb by verb.
 *
 * 1. Each help text is what the program prints, 80 columns wide.
 * 2. What no help says (events, secrets, environment) is written here.
 */
import { runProgram } from '../src/cli/run-program.ts'
import { verbs } from '../src/cli/verbs.ts'

const HEAD = `# The command line

<!-- Made from the program by npm run docs; a test compares. -->

Results go to standard output, everything else to standard error. An error is one line,
\`osflash: error: WHAT: WHY\`, and a line \`hint: …\` for each thing that can be done or typed next.
Ctrl-C (SIGINT), SIGTERM and SIGHUP stop a run: it cleans up and ends with status 130. Neither an
image nor a disk file gets its final name before it is complete.
`

const JSON_PART = `## \`--json\`

Standard output holds the result as one line of JSON. Standard error holds one event a line:

| \`event\` | fields |
|---|---|
| \`phase\` | \`phase\` (such as \`writing\`), \`state\` (\`start\`, \`end\`); \
with \`end\` \`seconds\`, and \
\`failed: true\` if it failed |
| \`progress\` | \`phase\`, \`done\`, \`total\` (0: not known), \`unit\` (\`bytes\`, \`items\`) |
| \`note\` | \`text\` |
| \`error\` | \`code\`, \`status\`, \`message\`, \`hints\` (list), \
\`data\` (what is known: place, errno) |

An \`error\` is the last line. Phases may overlap; amounts come at most ten times a second. A reader
must take phases, fields and codes that it does not know.

## Environment

| variable | meaning |
|---|---|
| \`SOURCE_DATE_EPOCH\` | the time that \`build\` and \`pack\` give an image, seconds since 1970 |
| \`TMPDIR\` | where \`build\` and \`pack\` make what they pack |
| \`TERM=dumb\` | plain lines in place of live ones |
| \`OSFLASH_DEBUG\` | anything: errors show their stack and causes |
| \`NODE_DISABLE_COMPILE_CACHE\` | \`1\`: compiled code is not kept in \`.cache\` of the package |
`

/** The whole page, as docs/cli.md holds it. */
export async function cliPage(): Promise<string> {
  const parts = [HEAD, `## osflash\n\n${await helpOf([])}`]
  for (const { name } of verbs) parts.push(`## osflash ${name}\n\n${await helpOf([name])}`)
  return [...parts, JSON_PART].join('\n')
}

async function helpOf(verb: readonly string[]): Promise<string> {
  let text = ''
  const write = (piece: string): void => {
    text += piece
  }
  await runProgram({
    argv: [...verb, '--help'],
    env: {},
    stdout: { isTerminal: false, write },
    stderr: { isTerminal: false, write: () => undefined },
    signal: new AbortController().signal,
    verbs,
    makeReader: () => ({
      emit: () => undefined,
      whenClear: (writeNow) => writeNow(),
      close: async () => undefined,
    }),
  })
  return `\`\`\`text\n${text.trimEnd()}\n\`\`\`\n`
}
