/**
 * The images of the scenarios: built by our own commands from test/e2e/recipes.
 *
 * 1. mmdebstrap runs once for a list of packages; its tarball is the root of every variant.
 * 2. A variant is the same root with more scripts: broken on purpose, for a few seconds' work.
 * 3. The rescue holds the bundle, so it is as new as that.
 * 4. The first OS alone knows the login key: whoever lets it in later has it from there.
 */
import { copyFile, readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { makeDebianTar } from '../../src/pack/build/debian.ts'
import { type LoadedRecipe, loadRecipe } from '../../src/pack/recipe/load.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { cached, digestOf, root } from './cache.ts'
import { osflash, testKeys } from './keys.ts'
import { QUICK, quickWords } from './quick-guest.ts'

const SOURCE_DATE_EPOCH = 1_700_000_000
export const bundle = join(root, 'build/osflash-linux-x64.tar.zst')

export type ImageName = 'first-debian-12' | 'target-debian-13' | 'rescue'

export interface Variant {
  readonly name: string
  /** Run in the new root, in order. */
  readonly scripts?: readonly string[]
  readonly packages?: readonly string[]
  readonly set?: readonly string[]
}

/** The path of the packed image. */
export async function image(name: ImageName, variant: Variant = { name: '' }): Promise<string> {
  await using recipes = await recipeFolder()
  const path = join(recipes.path, `${name}.yaml`)
  const loaded = await loadRecipe(path)
  const tarball = await rootTarball(name, loaded, variant)
  const keys = await testKeys()
  const settings = [
    'source={}',
    `source.tar=${tarball}`,
    ...(name === 'first-debian-12' ? [`access.root-authorized-keys=["${keys.loginPublic}"]`] : []),
    ...[QUICK, ...(variant.scripts ?? [])].map((content, place) => {
      const at = loaded.recipe.customise.scripts.length + place
      return `customise.scripts.${at}=${JSON.stringify({ content })}`
    }),
    `customise.kernel-command-line=${JSON.stringify(quickWords(loaded.recipe))}`,
    ...(variant.set ?? []),
  ]
  const content = JSON.stringify([loaded.content, settings])
  const key = digestOf(content, name === 'rescue' ? await readFile(bundle) : '')
  const wanted = { name: `${name}-${variant.name || 'plain'}`, extension: 'osimg', key }
  // Awaited here: the folder of recipes goes when this function ends.
  return await cached(wanted, async (output) => {
    const set = settings.flatMap((setting) => ['--set', setting])
    const sealing = ['--recipient', keys.recipientCert, '--sign-with', keys.signerKey]
    await run([osflash, 'build', path, '-o', output, ...sealing, ...set], {
      env: { SOURCE_DATE_EPOCH: String(SOURCE_DATE_EPOCH) },
    })
  })
}

/** The recipes that ship and ours in one folder: a recipe extends what lies beside it. */
async function recipeFolder() {
  const scratch = await makeScratch('e2e-recipes')
  for (const folder of [join(root, 'recipes'), join(import.meta.dirname, 'recipes')]) {
    for (const file of await readdir(folder)) {
      if (/\.(yaml|tar\.zst)$/.test(file))
        await copyFile(join(folder, file), join(scratch.path, file))
    }
  }
  return scratch
}

async function rootTarball(
  name: ImageName,
  { recipe }: LoadedRecipe,
  variant: Variant,
): Promise<string> {
  const { debian } = recipe.source
  if (debian === undefined) throw new Error(`${name} is not made from Debian packages`)
  const packages = [...debian.packages, ...(variant.packages ?? [])]
  const key = digestOf(JSON.stringify({ ...debian, packages }))
  const ofVariant = variant.packages === undefined ? '' : `-${variant.name}`
  return cached({ name: `${name}${ofVariant}`, extension: 'tar', key }, async (target) => {
    // A name of its own: what a killed run left, mounts and all, must not stop this one.
    await using scratch = await makeScratch('e2e-root', dirname(target))
    const context = {
      scratch: scratch.path,
      emit: () => undefined,
      sourceDateEpoch: SOURCE_DATE_EPOCH,
    }
    const source = { ...debian, packages }
    await makeDebianTar(source, context, { target, architecture: recipe.architecture })
  })
}

/** The name that a server gives the image. */
export const imageFileName = (path: string): string => basename(path)
