/**
 * Command-line tests as text, in the manner of Go's testscript.
 *
 * A script is commands, then files, each after a line `-- NAME --` (the txtar format). Every
 * script runs in a fresh folder that holds its files; HOME and TMPDIR lie in it.
 *
 *   osflash ARG...            runs the program of this checkout; must succeed
 *   exec PROGRAM ARG...       runs any program; must succeed
 *   ! COMMAND                 must fail (osflash, exec, exists, stdout, stderr, cmp)
 *   status N                  the exit status of the last osflash or exec
 *   stdout REGEX, stderr REGEX  matches what it printed; ^ and $ match at lines
 *   stdin FILE                what the next osflash or exec reads
 *   exists FILE...            and `! exists FILE...`: none of them
 *   cmp FILE FILE             same bytes; the first may be `stdout` or `stderr`
 *   cp FROM TO, mkdir DIR, rm FILE..., chmod MODE FILE
 *   flip FILE OFFSET          inverts one bit of the byte there; `random` picks one
 *   env NAME=VALUE            for the commands that follow; $NAME and ${NAME} are replaced
 *   # comment
 *
 * $VECTORS is the folder of the test vectors.
 *
 * Words are parted by blanks; 'single quotes' keep them together and take everything as it is,
 * '' inside is a quote.
 */

export interface Script {
  readonly commands: readonly Command[]
  readonly files: readonly { readonly name: string; readonly text: string }[]
}

export interface Command {
  /** From 1. */
  readonly line: number
  /** After `!`. */
  readonly negated: boolean
  readonly name: string
  readonly words: readonly Word[]
}

/** A word and whether variables in it are replaced. */
export interface Word {
  readonly text: string
  readonly quoted: boolean
}

/** Parses a script. Throws an error that names the line. */
export function parseScript(text: string): Script {
  const lines = text.split('\n')
  const firstFile = lines.findIndex((line) => fileName(line) !== undefined)
  const commandLines = firstFile === -1 ? lines : lines.slice(0, firstFile)
  const commands = commandLines.flatMap((line, index) => parseCommand(line, index + 1))
  return { commands, files: firstFile === -1 ? [] : parseFiles(lines.slice(firstFile)) }
}

function parseCommand(line: string, number: number): Command[] {
  const trimmed = line.trim()
  if (trimmed === '' || trimmed.startsWith('#')) return []
  const negated = trimmed.startsWith('! ')
  const [first, ...words] = splitWords(negated ? trimmed.slice(2) : trimmed, number)
  if (first === undefined) throw new Error(`line ${number}: no command after !`)
  return [{ line: number, negated, name: first.text, words }]
}

function splitWords(line: string, number: number): Word[] {
  const words: Word[] = []
  const pattern = /\s*(?:'((?:[^']|'')*)'|([^\s']+))(?=\s|$)/y
  while (pattern.lastIndex < line.trimEnd().length) {
    const match = pattern.exec(line)
    if (match === null) throw new Error(`line ${number}: unbalanced quotes`)
    const [, quoted, plain] = match
    words.push(
      quoted === undefined
        ? { text: plain ?? '', quoted: false }
        : { text: quoted.replaceAll("''", "'"), quoted: true },
    )
  }
  return words
}

function parseFiles(lines: readonly string[]) {
  const files: { name: string; text: string }[] = []
  for (const line of lines) {
    const name = fileName(line)
    const last = files.at(-1)
    if (name !== undefined) files.push({ name, text: '' })
    else if (last !== undefined) last.text += `${line}\n`
  }
  // The text ends in a newline of its own; splitting gave one empty line too many.
  const last = files.at(-1)
  if (last !== undefined) last.text = last.text.replace(/\n$/, '')
  return files
}

function fileName(line: string): string | undefined {
  return line.match(/^-- (.+) --$/)?.[1]
}
