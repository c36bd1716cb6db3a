import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { FIRST_OS, RESCUE, TARGET } from '../../src/flash/places.ts'
import { begunRun } from '../../src/flash/plan/run-state.ts'
import { currentSystem, findStore, parseSettings } from '../../src/flash/systems.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { flashPlan } from './flash-plan.ts'

const UUID = '0a1b2c3d-0000-4000-8000-0123456789ab'
const OTHER = 'ffffffff-0000-4000-8000-0123456789ab'
const DIGEST = 'a'.repeat(64)

const victims = [
  { path: '/dev/vdb1', bytes: 1_024, content: 'xfs', label: 'old', mountPoint: '/srv' },
]
const runFacts = JSON.stringify({
  storeUuid: UUID,
  planDigest: DIGEST,
  stage: flashPlan().stage,
  victims,
})
const stageFacts = JSON.stringify({
  format: 'osflash-stage/1',
  storeUuid: UUID,
  rescueRootUuid: OTHER,
  planDigest: DIGEST,
})

async function root(files: Readonly<Record<string, string>>): Promise<string> {
  const scratch = await makeScratch('systems-test')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(scratch.path, path)), { recursive: true })
    await writeFile(join(scratch.path, path), text)
  }
  return scratch.path
}

describe('the system that runs', () => {
  test('is a first OS without a replacement when nothing says otherwise', async () => {
    const bare = await root({})
    expect(await currentSystem(bare)).toBe('first-os')
    expect(await findStore(bare)).toBeUndefined()
  })

  test.each([
    ['first-os', FIRST_OS.run, runFacts, { stage: flashPlan().stage, victims }],
    ['rescue', RESCUE.stageFacts, stageFacts, { rescueRootUuid: OTHER }],
  ] as const)('%s knows store and plan', async (system, path, text, more) => {
    const expected = { system, storeUuid: UUID, planDigest: DIGEST, ...more }
    expect(await findStore(await root({ [path]: text }))).toEqual(expected)
  })

  test('a run that was begun is known to its first OS alone', async () => {
    const begun = await begunRun(await root({ [FIRST_OS.run]: runFacts }))
    expect(begun).toEqual({ planDigest: DIGEST, victims, stage: flashPlan().stage })
    // In the order of the plan, whose digest depends on it.
    expect(JSON.stringify(begun?.victims)).toBe(JSON.stringify(victims))
    expect(await begunRun(await root({ [RESCUE.stageFacts]: stageFacts }))).toBeUndefined()
    expect(await begunRun(await root({}))).toBeUndefined()
  })

  test('target knows store and plan', async () => {
    const settings = `STORE_UUID='${UUID}'\nPLAN_DIGEST='${DIGEST}'\n`
    const found = await findStore(await root({ [TARGET.settings]: settings }))
    expect(found).toEqual({ system: 'target', storeUuid: UUID, planDigest: DIGEST })
  })

  test('target that was not told the plan knows the store', async () => {
    const settings = `# made by osflash\n\nSTORE_UUID='${UUID}'\nCONFIRM=auto\n`
    const found = await findStore(await root({ [TARGET.settings]: settings }))
    expect(found).toEqual({ system: 'target', storeUuid: UUID })
  })

  test('target becomes the first OS of the next replacement', async () => {
    const settings = `STORE_UUID=${OTHER}\n`
    const both = await root({ [TARGET.settings]: settings, [FIRST_OS.run]: runFacts })
    expect(await findStore(both)).toMatchObject({ system: 'first-os', storeUuid: UUID })
  })

  test.each([
    ['a file that was cut', FIRST_OS.run, runFacts.slice(0, 50)],
    ['an unknown key', FIRST_OS.run, runFacts.replace('{', '{"more":1,')],
    ['a UUID in capitals', RESCUE.stageFacts, stageFacts.replace(UUID, UUID.toUpperCase())],
    ['another version', RESCUE.stageFacts, stageFacts.replace('stage/1', 'stage/2')],
    ['settings without a store', TARGET.settings, 'CONFIRM=auto\n'],
    ['a plan that is none', TARGET.settings, `STORE_UUID=${UUID}\nPLAN_DIGEST=0\n`],
    ['settings that run something', TARGET.settings, `STORE_UUID=${UUID}\nX=$(id)\n`],
  ])('%s is an error with the path', async (_, path, text) => {
    const damaged = await root({ [path]: text })
    const message = `reading ${join(damaged, path)}: it is not what osflash writes`
    await expect(findStore(damaged)).rejects.toMatchObject({ code: 'format', message })
  })
})

test.skipIf(process.getuid?.() !== 0)('who may not look is told so (as root)', async () => {
  const closed = await root({ [FIRST_OS.run]: runFacts })
  await chmod(closed, 0o711)
  await chmod(join(closed, FIRST_OS.folder), 0o700)
  const module = new URL('../../src/flash/systems.ts', import.meta.url).pathname
  const program = `import { currentSystem } from '${module}'
    process.setgid(65534)
    process.setuid(65534)
    await currentSystem('${closed}').catch((error) => console.log(error.message))`
  const { stdout } = await run([process.execPath, '--input-type=module', '--eval', program])
  expect(stdout).toBe(`looking for ${join(closed, FIRST_OS.run)}: permission denied\n`)
})

describe('settings', () => {
  const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

  test('are what a shell reads', async () => {
    const value = fc.string({ unit: fc.constantFrom(...'ab1 \'"$`\\#;&|<>*~=') })
    await fc.assert(
      fc.asyncProperty(value, async (text) => {
        const line = `A=${quoted(text)}`
        const { stdout } = await run(['sh', '-c', `${line}\nprintf %s "$A"`])
        expect(stdout).toBe(text)
        expect(parseSettings(line)).toEqual({ A: text })
      }),
      { numRuns: 30 },
    )
  })

  test('may be bare, in double quotes, or empty', () => {
    const text = 'A=/dev/disk:1\nB="two words"\nC=\nD=a\'b c\'"d"\n'
    expect(parseSettings(text)).toEqual({ A: '/dev/disk:1', B: 'two words', C: '', D: 'ab cd' })
  })

  test.each(['A=b c', 'A=$B', 'A="$B"', 'A=`id`', 'a=b', 'export A=b', 'A=b;id', "A='b", 'A = b'])(
    'are refused when a shell would do more: %s',
    (line) => {
      expect(() => parseSettings(line)).toThrow(RangeError)
    },
  )
})
