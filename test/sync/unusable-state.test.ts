// The state folder fails: without the right to write, read-only, full. Being deployed matters more than being recorded,
// and what could not be recorded is said.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { isRoot, mintMaterial, openWorld, proveSilence, provesLayout, resultOf, type World } from '../deploy-world.js'
import { commandLine } from '../run-command.js'
import { callHook, cloudDown, ends, keysIn, provesSettled, statusOf, sync, writeLineage } from './hook-call.js'

const material = await mintMaterial()

const unrecorded = /^warning: nothing was recorded, so what failed is not tried again by itself: [^\n]+$/m

t.test('without the right to write', { skip: !isRoot && 'only root may become another user' }, async (t) => {
  const world = await openWorld(t)
  // The files of the lineage are the other user's to read.
  const lineage = writeLineage(world, material)
  chmodSync(world.folder, 0o755)
  chmodSync(join(lineage, 'privkey.pem'), 0o644)
  const run = async (words: readonly string[]) => {
    const [file, args] = commandLine(words)
    const child = spawn(file, args, {
      cwd: '/',
      uid: 54_321,
      gid: 54_321,
      env: {
        PATH: process.env['PATH'],
        ALIBABA_CLOUD_ACCESS_KEY_ID: world.key.id,
        ALIBABA_CLOUD_ACCESS_KEY_SECRET: world.key.secret,
        ALIBABA_CLOUD_ECS_METADATA_DISABLED: 'true',
        ACME_OSS_STATE_DIR: world.state,
        RENEWED_LINEAGE: lineage,
      },
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => (said += piece))
    const [code] = (await once(child, 'close')) as [number]
    t.notMatch(said, /\n\s+at /)
    return { code, said }
  }
  // One that is not there and cannot be made, one that may only be read, one that may not even be looked into.
  for (const mode of [undefined, 0o755, 0o700]) {
    if (mode !== undefined) {
      rmSync(world.state, { recursive: true, force: true })
      mkdirSync(world.state, { mode })
    }
    t.match(await run(['hook', 'certbot', ...world.toBucket]), { code: 0, said: unrecorded })
    provesLayout(t, world.objects, material)
    t.match(await run(['hook', 'certbot']), { code: 1, said: world.state }, 'nor can it be kept for later')
    if (mode === 0o755) t.match(await run(['status']), { code: 0 })
    if (mode === 0o700) {
      const status = await run(['status'])
      t.match(status, { code: 1, said: /EACCES/ })
      t.match(status.said, world.state)
    }
    const refused = await run(['sync'])
    t.match(refused, { code: 1, said: world.state })
    t.match(refused.said, /--state-dir/)
  }
})

const mount = (t: Test, world: World, options: string): string | undefined => {
  mkdirSync(world.state, { recursive: true })
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'acme-oss-test', world.state])
  if (status !== 0) return String(stderr)
  // The folder below is removed after this.
  t.teardown(() => spawnSync('umount', ['-l', world.state]))
  return undefined
}

/** Fills it up, but for this many bytes. */
const fill = (folder: string, left: number): void => {
  const filler = join(folder, 'filler')
  // As many pages as there is room for; what does not fit is not written.
  spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4096'])
  for (let page = 0; page < left; page += 4096) spawnSync('truncate', ['-s', '-4096', filler])
}

/** Whether file systems can be mounted here; a container may not even where its user is root. */
const canMount = (() => {
  if (!isRoot) return 'only root may mount'
  const { status } = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', '-o', 'size=64k', 'x', '/mnt'])
  return status === 0 ? false : 'mounting is not permitted here'
})()

t.test('read-only', { skip: canMount }, async (t) => {
  const world = await openWorld(t)
  t.equal(mount(t, world, 'ro,size=64k,mode=700'), undefined)
  const run = await callHook(world, material)
  ends(t, run, 0)
  t.match(run.stderr, unrecorded)
  t.match(run.stderr, /EROFS/)
  provesLayout(t, world.objects, material)
})

// Room for nothing, for the lock alone, for the lock and one file, and so on, until it is enough.
for (const pages of [0, 1, 2, 3, 4, 6, 8]) {
  t.test(`full but for ${pages} pages`, { skip: canMount }, async (t) => {
    const world = await openWorld(t)
    t.equal(mount(t, world, 'size=64k,mode=700'), undefined)
    fill(world.state, pages * 4096)
    const run = await callHook(world, material, { words: [...world.toBucket, '--json'] })
    ends(t, run, 0)
    provesLayout(t, world.objects, material)
    const { warnings } = resultOf(run)
    if (pages < 2) t.match(warnings, [/nothing was recorded/])
    else t.ok(warnings.length <= 1)
    for (const warning of warnings) t.match(warning, /ENOSPC/)
    if (warnings.length === 0) t.same(keysIn(world.state), [])

    rmSync(join(world.state, 'filler'))
    ends(t, await sync(world), 0)
    t.same(keysIn(world.state), [], 'no key is kept once there is room again')
    await provesSettled(t, world, material)
  })
}

t.test('full, and the cloud down as well', { skip: canMount }, async (t) => {
  const world = await openWorld(t)
  t.equal(mount(t, world, 'size=64k,mode=700'), undefined)
  fill(world.state, 0)
  const down = cloudDown(world)
  const run = await callHook(world, material)
  ends(t, run, 1)
  t.match(run.stderr, unrecorded)
  down.remove()
  rmSync(join(world.state, 'filler'))
  ends(t, await callHook(world, material), 0)
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

t.test('full during sync', { skip: canMount }, async (t) => {
  const world = await openWorld(t)
  t.equal(mount(t, world, 'size=64k,mode=700'), undefined)
  const down = cloudDown(world)
  ends(t, await callHook(world, material), 1)
  down.remove()
  fill(world.state, 0)
  const run = await sync(world)
  t.match(run.stderr, /ENOSPC/)
  t.notMatch(run.stderr, /\n\s+at /)
  t.equal((await statusOf(t, world)).ok, false, 'what could not be crossed off is still there')
  rmSync(join(world.state, 'filler'))
  ends(t, await sync(world), 0)
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
})

t.test('an entry in it that is none of ours', async (t) => {
  const world = await openWorld(t)
  const down = cloudDown(world)
  ends(t, await callHook(world, material), 1)
  writeFileSync(join(world.state, 'deployments', 'notes.txt'), 'somebody was here\n')
  writeFileSync(join(world.state, 'deployments', 'example.com', 'notes.txt'), 'and here\n')
  mkdirSync(join(world.state, 'deployments', 'example.net'))
  down.remove()
  t.equal((await statusOf(t, world)).ok, false)
  ends(t, await sync(world), 0)
  provesLayout(t, world.objects, material)
  await provesSettled(t, world, material)
  t.ok(readdirSync(join(world.state, 'deployments')).includes('notes.txt'), 'it stays as it is')
})

await proveSilence(t)
