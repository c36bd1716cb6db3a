/**
 * Runs the commands of a parsed script in a folder; see script.ts for their list.
 */

import { chmod, copyFile, mkdir, open, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { execa } from 'execa'
import type { Command, Script, Word } from './script.ts'

export interface RunnerSettings {
  /** The folder of this script, empty at the start. */
  readonly folder: string
  /** Path of the program that `osflash` stands for. */
  readonly program: string
}

interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Throws an error that names the line of the first command that went wrong. */
export async function runScript(script: Script, settings: RunnerSettings): Promise<void> {
  const runner = new Runner(settings)
  await runner.writeFiles(script.files)
  for (const command of script.commands) await runner.step(command)
}

type Action = (args: readonly string[], command: Command) => Promise<void>

class Runner {
  readonly #settings: RunnerSettings
  readonly #env: Record<string, string>
  #last: Ended | undefined
  #stdin: string | undefined
  readonly #actions: Readonly<Record<string, Action>>

  constructor(settings: RunnerSettings) {
    this.#settings = settings
    const { folder } = settings
    const vectors = join(import.meta.dirname, '../vectors')
    this.#env = {
      VECTORS: vectors,
      HOME: folder,
      TMPDIR: join(folder, '.scratch'),
      WORK: folder,
      NO_COLOR: '1',
    }
    this.#actions = {
      osflash: (args, command) => this.#exec([settings.program, ...args], command),
      exec: (args, command) => this.#exec(args, command),
      status: async ([status = '']) => this.#checkStatus(Number(status)),
      stdout: async ([pattern = ''], command) => this.#match('stdout', pattern, command),
      stderr: async ([pattern = ''], command) => this.#match('stderr', pattern, command),
      stdin: async ([name = '']) => {
        this.#stdin = this.#path(name)
      },
      exists: (args, command) => this.#exists(args, command),
      cmp: (args, command) => this.#compare(args, command),
      cp: async ([from = '', to = '']) => copyFile(this.#path(from), this.#path(to)),
      mkdir: async ([name = '']) => void (await mkdir(this.#path(name), { recursive: true })),
      rm: async (args) => {
        for (const name of args) await rm(this.#path(name), { recursive: true, force: true })
      },
      chmod: async ([mode = '', name = '']) => chmod(this.#path(name), Number.parseInt(mode, 8)),
      flip: async ([name = '', offset = '']) => flipBit(this.#path(name), offset),
      env: async ([setting = '']) => {
        const [name = '', ...value] = setting.split('=')
        this.#env[name] = value.join('=')
      },
    }
  }

  async writeFiles(files: Script['files']): Promise<void> {
    await mkdir(join(this.#settings.folder, '.scratch'), { recursive: true })
    for (const { name, text } of files) {
      const path = this.#path(name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, text)
    }
  }

  async step(command: Command): Promise<void> {
    const action = this.#actions[command.name]
    try {
      if (action === undefined) throw new Error('no such command')
      const negatable = ['osflash', 'exec', 'exists', 'stdout', 'stderr', 'cmp']
      if (command.negated && !negatable.includes(command.name)) throw new Error('no ! here')
      await action(
        command.words.map((word) => this.#replace(word)),
        command,
      )
    } catch (cause) {
      const words = [command.name, ...command.words.map(({ text }) => text)].join(' ')
      const why = cause instanceof Error ? cause.message : String(cause)
      const bang = command.negated ? '! ' : ''
      throw new Error(`line ${command.line}: ${bang}${words}: ${why}`, { cause })
    }
  }

  #replace({ text, quoted }: Word): string {
    if (quoted) return text
    return text.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced, plain) => {
      return this.#env[braced ?? plain] ?? ''
    })
  }

  #path(name: string): string {
    return resolve(this.#settings.folder, name)
  }

  async #exec(argv: readonly string[], command: Command): Promise<void> {
    const [program = '', ...args] = argv
    const result = await execa(program, args, {
      cwd: this.#settings.folder,
      env: this.#env,
      reject: false,
      stripFinalNewline: false,
      ...(this.#stdin === undefined ? { stdin: 'ignore' } : { inputFile: this.#stdin }),
    })
    this.#stdin = undefined
    const { stdout = '', stderr = '', exitCode } = result
    if (exitCode === undefined) throw new Error(result.shortMessage ?? 'did not run')
    this.#last = { status: exitCode, stdout, stderr }
    if ((exitCode === 0) === command.negated) {
      throw new Error(`exit status ${exitCode}\nstdout: ${stdout}\nstderr: ${stderr}`)
    }
  }

  #ended(): Ended {
    if (this.#last === undefined) throw new Error('nothing was run yet')
    return this.#last
  }

  #checkStatus(wanted: number): void {
    const { status, stderr } = this.#ended()
    if (status !== wanted) throw new Error(`was ${status}\nstderr: ${stderr}`)
  }

  #match(name: 'stdout' | 'stderr', pattern: string, { negated }: Command): void {
    const text = this.#ended()[name]
    if (new RegExp(pattern, 'mu').test(text) === negated) throw new Error(`${name} was:\n${text}`)
  }

  async #exists(names: readonly string[], { negated }: Command): Promise<void> {
    for (const name of names) {
      const found = await stat(this.#path(name)).then(
        () => true,
        () => false,
      )
      if (found === negated) throw new Error(`${name} ${found ? 'exists' : 'does not exist'}`)
    }
  }

  async #compare(names: readonly string[], { negated }: Command): Promise<void> {
    if (names.length !== 2) throw new Error('wants two files')
    const [left, right] = await Promise.all(names.map((name) => this.#bytes(name)))
    if (left?.equals(right ?? Buffer.alloc(0)) === negated) {
      throw new Error(negated ? 'the bytes are the same' : 'the bytes differ')
    }
  }

  async #bytes(name: string): Promise<Buffer> {
    if (name === 'stdout' || name === 'stderr') return Buffer.from(this.#ended()[name])
    return readFile(this.#path(name))
  }
}

/** Inverts one bit; `random` takes any byte of the file, and says which when it fails. */
async function flipBit(path: string, offset: string): Promise<void> {
  await using file = await open(path, 'r+')
  const { size } = await file.stat()
  const at = offset === 'random' ? Math.floor(Math.random() * size) : Number(offset)
  const byte = Buffer.alloc(1)
  const { bytesRead } = await file.read(byte, 0, 1, at)
  if (bytesRead !== 1) throw new Error(`no byte at ${offset} of ${size}`)
  const bit = offset === 'random' ? Math.floor(Math.random() * 8) : 0
  byte.writeUInt8(byte.readUInt8(0) ^ (1 << bit), 0)
  await file.write(byte, 0, 1, at)
  console.log(`flipped bit ${bit} of byte ${at} of ${size} in ${path}`)
}
