// `acme-oss pull` from the outside, against the emulator and a folder: what lies behind the link, what runs, what is
// left when things go wrong.
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  bucket,
  daysFromNow,
  fileNames,
  type Material,
  mintMaterial,
  newAccessKey,
  openWorld,
  pemFileNames,
  pemFiles,
  prefix,
  proveSilence,
  sha256,
  type World,
  type WorldRun,
} from '../deploy-world.js'

const one = await mintMaterial({ notBefore: daysFromNow(-10), notAfter: daysFromNow(80) })
const two = await mintMaterial({ notBefore: daysFromNow(-1), notAfter: daysFromNow(89) })

interface PullShape {
  readonly ok: boolean
  readonly status: string
  readonly certificate: { readonly sha256: string; readonly archive: string; readonly name: string } | null
  readonly from: string
  readonly to: string
  readonly folder: string | null
  readonly executed: boolean
  readonly warnings: readonly string[]
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null
}

interface Answer extends PullShape {
  readonly code: number | null
  readonly stderr: string
}

const open = async (t: Test) => {
  const world = await openWorld(t, { here: true })
  // All that a consumer has.
  const reader = newAccessKey([{ action: 'oss:GetObject', resource: `${bucket}/${prefix}*` }])
  world.emulator.addKey({ ...reader, hideMissing: true })
  const environment = { ALIBABA_CLOUD_ACCESS_KEY_ID: reader.id, ALIBABA_CLOUD_ACCESS_KEY_SECRET: reader.secret }
  const raw = (words: readonly string[], options: WorldRun = {}) =>
    world.run(['pull', ...words], { ...options, environment: { ...environment, ...options.environment } })
  const to = world.path('certs')
  const pull = async (words: readonly string[] = [], options: WorldRun = {}): Promise<Answer> => {
    const { code, stdout, stderr } = await raw([...world.toBucket, '--to', to, ...words, '--json'], options)
    return { ...(JSON.parse(stdout) as PullShape), code, stderr }
  }
  return { world, to, raw, pull }
}

const deploy = async (t: Test, world: World, material: Material): Promise<void> => {
  const { code, stderr } = await world.deploy(material, [...world.toBucket, '--allow-older'])
  t.equal(code, 0, stderr)
}

/** What a reader finds behind the link, file by file. */
const provesCurrent = (t: Test, to: string, material: Material): void => {
  const found = pemFileNames.map((file) => `${file} ${sha256(readFileSync(join(to, 'current', file)))}`)
  t.same(
    found,
    Object.entries(pemFiles(material)).map(([file, body]) => `${file} ${sha256(body)}`),
  )
}

const folders = (to: string): string[] =>
  readdirSync(to)
    .filter((name) => /^\d{4}-/.test(name))
    .sort()

t.test('from a bucket, with the right to read alone', async (t) => {
  const { world, to, pull, raw } = await open(t)
  const none = await pull()
  t.match(none, {
    code: 1,
    ok: false,
    status: 'failed',
    certificate: null,
    folder: null,
    error: { code: 'CLOUD_REFUSED', hint: /nothing has been deployed there yet/ },
  })
  await deploy(t, world, one)

  const planned = await pull(['--dry-run'])
  t.match(planned, { code: 0, status: 'planned', executed: false })
  t.notOk(existsSync(join(to, 'current')), 'nothing is written by --dry-run')

  const first = await pull()
  t.match(first, {
    code: 0,
    ok: true,
    status: 'changed',
    executed: false,
    warnings: [],
    error: null,
    from: `oss://${bucket}/${prefix}`,
    to: join(to, 'current'),
  })
  t.same([first.certificate?.archive, first.certificate?.name], [one.archive, 'example.com'])
  t.equal(first.folder, join(to, readlinkSync(join(to, 'current'))), 'the link is relative')
  provesCurrent(t, to, one)
  for (const file of fileNames) t.equal(statSync(join(to, 'current', file)).mode & 0o777, 0o600, file)
  t.equal(statSync(join(to, 'current')).mode & 0o777, 0o700)
  t.notOk(existsSync(join(to, 'current/combined.pem')))

  const from = world.emulator.requests.length
  const inode = statSync(join(to, 'current/privkey.pem')).ino
  t.match(await pull(), { code: 0, status: 'unchanged' })
  t.same(
    world.emulator.requests.slice(from).map(({ key }) => key),
    [`${prefix}latest/README.md`],
    'nothing but the manifest is asked for',
  )
  t.equal(statSync(join(to, 'current/privkey.pem')).ino, inode)

  writeFileSync(join(to, 'current/chain.pem'), 'damaged')
  t.match(await pull(), { code: 0, status: 'changed' })
  provesCurrent(t, to, one)
  t.match(await pull(['--combined']), { status: 'changed' })
  t.equal(readFileSync(join(to, 'current/combined.pem'), 'utf8'), one.fullchain + one.key)

  await deploy(t, world, two)
  const lines = await raw([...world.toBucket, '--to', to], { here: false })
  t.equal(lines.code, 0, lines.stderr)
  t.equal(
    lines.stdout,
    `pulled: example.com (${two.archive}, until ${two.notAfter.toISOString().slice(0, 10)}) is in use: ${to}/current\n`,
  )
  provesCurrent(t, to, two)
  t.same(
    folders(to).map((name) => name.slice(0, -9)),
    [one.archive, two.archive].sort(),
    'the one before is kept',
  )

  await deploy(t, world, one)
  const back = await pull()
  t.match(back, { code: 0, status: 'changed', warnings: [/older than the one that was in use.*rolled back/] })
  provesCurrent(t, to, one)
})

t.test('the command runs when something has changed, and only then', async (t) => {
  const { world, to, pull } = await open(t)
  await deploy(t, world, one)
  const log = world.path('log')
  const exec = ['--exec', `${world.path('note')} "a b"`]
  const said = (): string[] => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [])
  const program = (last: string): void => {
    const lines = [
      '#!/bin/sh',
      `echo "$1 $ACME_OSS_NAME $ACME_OSS_NAMES $ACME_OSS_ARCHIVE $ACME_OSS_SHA256 $ACME_OSS_DIRECTORY" >> ${log}`,
      `env | grep -c -e ALIBABA_CLOUD -e ACME_OSS_STATE >> ${log}`,
      last,
    ]
    writeFileSync(world.path('note'), `${lines.join('\n')}\n`, { mode: 0o755 })
  }
  program('true')
  const line = (material: Material): string => {
    const folder = folders(to).find((name) => name.startsWith(material.archive)) ?? 'none'
    const sum = material.x509.fingerprint256.replaceAll(':', '').toLowerCase()
    return `a b example.com example.com,www.example.com ${material.archive} ${sum} ${join(to, folder)}`
  }

  const planned = await pull([...exec, '--dry-run'])
  t.match(planned, { status: 'planned', executed: false })
  t.same(said(), [], '--dry-run runs nothing')
  t.match(await pull(exec), { code: 0, status: 'changed', executed: true })
  t.same(said(), [line(one), '0'], 'told what is in use, and no access key')
  t.match(await pull(exec), { code: 0, status: 'unchanged', executed: false })
  t.equal(said().length, 2)

  await deploy(t, world, two)
  rmSync(log)
  program('echo "first line" >&2; echo "the last line" >&2; exit 3')
  const failed = await pull(exec)
  t.match(failed, { code: 1, ok: false, status: 'failed', executed: true, error: { code: 'PROGRAM_FAILED' } })
  t.match(failed.error?.message, /ended with status 3: first line \| the last line/)
  provesCurrent(t, to, one)
  t.equal(failed.folder, join(to, readlinkSync(join(to, 'current'))))
  t.same(said(), [line(two), '0', line(one), '0'], 'it runs again for the set that is back')
  t.match(failed.error?.message, /in use again, with which it failed as well/)

  rmSync(log)
  program(`test "$ACME_OSS_ARCHIVE" = ${one.archive}`)
  const again = await pull(exec)
  t.match(again.error?.message, /is in use again$/, 'the next run has tried again')
  program('true')
  t.match(await pull(exec), { code: 0, status: 'changed', executed: true })
  provesCurrent(t, to, two)
  t.match(await pull(exec), { status: 'unchanged', executed: false })

  const slow = await pull(['--combined', '--exec', 'exec sleep 30', '--exec-shell', '--exec-timeout', '1'])
  t.match(slow, { status: 'failed', error: { message: /did not end within 1 s; it runs again the next time/ } })
  provesCurrent(t, to, two)
  t.match(
    await pull(['--combined', ...exec]),
    { status: 'changed', executed: true },
    'although nothing else has changed',
  )
})

t.test('where nothing was in use before, a command that fails leaves nothing in use', async (t) => {
  const { world, to, pull } = await open(t)
  await deploy(t, world, one)
  const key = one.key.split('\n')[1] ?? ''
  t.match(await pull(['--exec', `echo ${key}; false`, '--exec-shell']), {
    code: 1,
    folder: null,
    error: { message: /: \[secret\]; nothing was in use before, and nothing is now$/ },
  })
  t.notOk(existsSync(join(to, 'current')))
  const gone = await pull(['--exec', world.path('no-such-program')])
  t.match(gone, { code: 1, error: { message: /cannot be started \(ENOENT\)/ } })
  t.match(await pull(['--exec', 'true']), { code: 0, status: 'changed', executed: true })
})

t.test('a run that is killed between the swap and the end of the command', async (t) => {
  const { world, to, pull, raw } = await open(t)
  await deploy(t, world, one)
  t.match(await pull(['--exec', 'true']), { status: 'changed' })
  await deploy(t, world, two)
  const kill = ['--exec', 'kill -9 $PPID', '--exec-shell']
  const killed = await raw([...world.toBucket, '--to', to, ...kill], { here: false })
  t.equal(killed.signal, 'SIGKILL')
  provesCurrent(t, to, two)

  const failed = await pull(['--exec', `test "$ACME_OSS_ARCHIVE" = ${one.archive}`, '--exec-shell'])
  t.match(
    failed,
    { code: 1, status: 'failed', executed: true },
    'the next run runs the command, although nothing has changed',
  )
  provesCurrent(t, to, one)
  await raw([...world.toBucket, '--to', to, ...kill], { here: false })
  t.match(await pull(['--exec', 'true']), { code: 0, status: 'changed', executed: true })
  t.match(await pull(['--exec', 'true']), { code: 0, status: 'unchanged', executed: false })
})

t.test('two at once: one does it, and the other finds it done', async (t) => {
  const { world, pull } = await open(t)
  await deploy(t, world, one)
  const exec = ['--exec', `echo ran >> ${world.path('log')}`, '--exec-shell']
  const both = await Promise.all([pull(exec), pull(exec)])
  t.same(both.map(({ status }) => status).sort(), ['changed', 'unchanged'])
  t.equal(readFileSync(world.path('log'), 'utf8'), 'ran\n')
})

/** Pulls in a loop, and reads in another, while `change` goes on; what was wrong with anything that was found. */
const watched = async (
  to: string,
  pull: () => Promise<PullShape>,
  change: () => Promise<void>,
): Promise<{ readonly mixes: readonly string[]; readonly changes: number; readonly seen: number }> => {
  const keys = new Map([one, two].map((material) => [sha256(material.leaf), sha256(material.key)]))
  let isOver = false
  let changes = 0
  const seen: string[] = []
  const mixes: string[] = []
  const read = async (): Promise<void> => {
    while (!isOver) {
      const folder = realpathSync(join(to, 'current'))
      const [cert, key, chain, full] = await Promise.all(
        pemFileNames.map((file) => readFile(join(folder, file), 'utf8').catch(() => undefined)),
      )
      // A reader that was slower than two changes finds the folder gone, and opens the link again.
      if (cert === undefined || key === undefined || chain === undefined || full === undefined) continue
      if (keys.get(sha256(cert)) !== sha256(key) || full !== cert + chain) mixes.push(folder)
      else if (seen.at(-1) !== folder) seen.push(folder)
    }
  }
  const pullAgain = async (): Promise<void> => {
    while (!isOver) {
      const { status, error, folder } = await pull()
      if (status === 'failed' || folder === null) mixes.push(`${error?.code} ${error?.message}`)
      else if (status === 'changed') {
        changes++
        const [cert, key] = ['cert.pem', 'privkey.pem'].map((file) => sha256(readFileSync(join(folder, file))))
        if (keys.get(cert ?? '') !== key) mixes.push(folder)
      }
    }
  }
  const caught = (error: unknown): void => void mixes.push(String(error))
  const running = [read().catch(caught), pullAgain().catch(caught)]
  await change().catch(caught)
  isOver = true
  await Promise.all(running)
  return { mixes, changes, seen: seen.length }
}

t.test('a reader never sees a mix, however often the certificate changes', async (t) => {
  const { world, to, pull, raw } = await open(t)
  await deploy(t, world, one)
  t.match(await pull(), { status: 'changed' })
  const fromBucket = await watched(to, pull, async () => {
    for (let i = 0; i < 12; i++) await deploy(t, world, i % 2 === 0 ? two : one)
  })
  t.same(fromBucket.mixes, [])
  t.ok(fromBucket.changes > 1 && fromBucket.seen > 1, `it has changed: ${JSON.stringify(fromBucket)}`)
  t.ok(folders(to).length <= 2, 'of all of them, two are kept')

  const layout = world.path('layout')
  const put = async (material: Material): Promise<void> => {
    t.equal((await world.deploy(material, ['--directory', layout, '--allow-older'])).code, 0)
  }
  await put(one)
  const pullFrom = async (): Promise<PullShape> =>
    JSON.parse((await raw(['--directory', layout, '--to', to, '--json'])).stdout) as PullShape
  const fromFolder = await watched(to, pullFrom, async () => {
    for (let i = 0; i < 6; i++) await put(i % 2 === 0 ? two : one)
  })
  t.same(fromFolder.mixes, [])
  t.ok(fromFolder.changes > 0, `it has changed: ${JSON.stringify(fromFolder)}`)
})

t.test('a deployment that was broken off between the files of latest/ and its manifest', async (t) => {
  const { world, to, pull } = await open(t)
  await deploy(t, world, one)
  t.match(await pull(), { status: 'changed' })
  const fault = world.emulator.fail(
    { method: 'PUT', key: `${prefix}latest/README.md` },
    { status: 403, code: 'AccessDenied' },
  )
  t.equal((await world.deploy(two, [...world.toBucket])).code, 1)
  fault.remove()
  const latest = (file: string): string => world.objects.get(`${prefix}latest/${file}`)?.body.toString() ?? ''
  t.equal(latest('cert.pem'), two.leaf, 'the files are of the new one')
  t.notMatch(latest('README.md'), sha256(two.leaf), 'and by the manifest a reader can tell')
  t.match(await pull(), { code: 0, status: 'unchanged' }, 'what is there is still what the manifest names')
  for (const file of fileNames) world.emulator.putObject(bucket, `${prefix}${one.archive}/${file}`, 'no certificate')
  rmSync(to, { recursive: true })
  const mixed = await pull(['--timeout', '1'])
  t.match(mixed, { code: 1, status: 'failed', folder: null, error: { code: 'LAYOUT_MIXED', hint: /going on/ } })
  t.notOk(existsSync(join(to, 'current')))
  await deploy(t, world, two)
  t.match(await pull(), { code: 0, status: 'changed' })
  provesCurrent(t, to, two)
})

t.test('the archive holds another chain, or may not be read: latest/ itself', async (t) => {
  const { world, to, pull } = await open(t)
  const bare = { ...one, fullchain: one.leaf, chain: '' }
  await deploy(t, world, bare)
  t.match(await pull(), { status: 'changed', warnings: [/no intermediate certificates/] })
  provesCurrent(t, to, bare)
  await deploy(t, world, one)
  t.match(await pull(), { status: 'changed', warnings: [] })
  provesCurrent(t, to, one)
  const [first, second] = folders(to)
  t.same([first?.slice(0, -9), second?.slice(0, -9)], [one.archive, one.archive], 'a folder of its own')

  const latestOnly = newAccessKey([{ action: 'oss:GetObject', resource: `${bucket}/${prefix}latest/*` }])
  world.emulator.addKey(latestOnly)
  const environment = { ALIBABA_CLOUD_ACCESS_KEY_ID: latestOnly.id, ALIBABA_CLOUD_ACCESS_KEY_SECRET: latestOnly.secret }
  t.match(await pull([], { environment }), { status: 'unchanged' })
  await deploy(t, world, two)
  t.match(await pull([], { environment }), { status: 'changed' })
  provesCurrent(t, to, two)
})

t.test('what must not be taken is not taken', async (t) => {
  const { world, to, pull } = await open(t)
  await deploy(t, world, one)
  t.match(await pull(), { status: 'changed' })
  const readme = world.objects.get(`${prefix}latest/README.md`)?.body.toString() ?? ''
  const from = world.emulator.requests.length
  world.emulator.putObject(bucket, `${prefix}latest/README.md`, readme.replace(/archive: .*/, 'archive: ../../other'))
  t.match(await pull(), {
    code: 1,
    error: { code: 'LAYOUT_INVALID', message: /names the archive "\.\.\/\.\.\/other"/ },
  })
  t.equal(world.emulator.requests.length, from + 1, 'nothing is asked for there')
  world.emulator.putObject(bucket, `${prefix}latest/README.md`, 'x'.repeat(9 * 1024 * 1024))
  t.match(await pull(), { code: 1, error: { code: 'LAYOUT_INVALID', message: /README\.md is larger than 1 MiB/ } })
  t.equal(world.emulator.requests.length, from + 2, 'and it is not asked for again')
  const old = await mintMaterial({ notBefore: daysFromNow(-90), notAfter: daysFromNow(1) })
  await deploy(t, world, old)
  t.match(await pull(), { status: 'changed', warnings: [/older/, /ends on .*look at what renews it/] })
  provesCurrent(t, to, old)
  t.match(await pull(), { status: 'unchanged', warnings: [/ends on/] })
})

t.test('the folder is the user’s: what is not ours stays', async (t) => {
  const { world, to, pull } = await open(t)
  await deploy(t, world, one)
  mkdirSync(join(to, 'current'), { recursive: true })
  writeFileSync(join(to, 'current/mine'), 'mine')
  const refused = await pull()
  t.match(refused, { code: 1, error: { code: 'FOLDER_UNWRITABLE', message: /not a link that acme-oss pull has made/ } })
  t.equal(readFileSync(join(to, 'current/mine'), 'utf8'), 'mine')
  rmSync(join(to, 'current'), { recursive: true })
  symlinkSync('elsewhere', join(to, 'current'))
  t.match(await pull(), { code: 1, error: { code: 'FOLDER_UNWRITABLE' } })
  rmSync(join(to, 'current'))
  const old = join(to, '2001-01-01_00000000-00000000')
  const emptied = join(to, '2001-01-01_00000000-11111111')
  for (const folder of [old, emptied]) {
    mkdirSync(folder)
    writeFileSync(join(folder, 'cert.pem'), 'ours')
  }
  writeFileSync(join(old, 'mine'), 'mine')
  mkdirSync(join(to, '2001-01-01'))
  t.match(await pull(), { code: 0, status: 'changed' })
  t.same([readdirSync(old), existsSync(emptied), existsSync(join(to, '2001-01-01'))], [['mine'], false, true])

  await deploy(t, world, two)
  const target = join(to, 'somewhere')
  mkdirSync(target)
  const linked = (await pull(['--dry-run'])).folder ?? ''
  symlinkSync(target, linked)
  t.match(await pull(), {
    code: 1,
    error: { code: 'FOLDER_UNWRITABLE', message: /[0-9a-f]{8} is a link, or no folder/ },
  })
  t.same(readdirSync(target), [], 'nothing is written through a link')
  provesCurrent(t, to, one)

  rmSync(join(to, '.acme-oss'), { recursive: true })
  symlinkSync(target, join(to, '.acme-oss'))
  t.match(await pull(), {
    code: 1,
    error: { code: 'FOLDER_UNWRITABLE', message: /\.acme-oss is a link, or no folder/ },
  })
  t.same(readdirSync(target), [])
})

t.test('owner, group and mode', async (t) => {
  const { world, to, pull } = await open(t)
  await deploy(t, world, one)
  t.match(await pull(['--mode', '0640']), { status: 'changed' })
  const modes = (): string[] =>
    ['', ...fileNames].map((file) => (statSync(join(to, 'current', file)).mode & 0o7777).toString(8))
  t.same(modes(), ['750', ...fileNames.map(() => '640')])
  t.equal(statSync(to).mode & 0o777, 0o750, 'the folder that was made for them')
  t.match(await pull(['--mode', '640']), { status: 'unchanged' })
  t.match(await pull(), { status: 'changed' }, 'other rights are a change')
  t.same(modes(), ['700', ...fileNames.map(() => '600')])
  if (process.getuid?.() !== 0) {
    t.match(await pull(['--owner', '0']), { code: 1, error: { code: 'FOLDER_UNWRITABLE', hint: /only root/ } })
    return
  }
  const rightsOf = (path: string): unknown[] => {
    const { uid, gid, mode } = statSync(path)
    return [uid, gid, (mode & 0o7777).toString(8)]
  }
  const owned = ['--owner', 'nobody:65533', '--mode', '0640']
  t.match(await pull(owned), { status: 'changed' })
  const nobody = Number(/^nobody:[^:]*:(\d+)/m.exec(readFileSync('/etc/passwd', 'utf8'))?.[1])
  const provesOwned = (): void => {
    for (const file of fileNames) t.same(rightsOf(join(to, 'current', file)), [nobody, 65533, '640'], file)
    t.same(rightsOf(join(to, 'current')), [0, 65533, '755'], 'in a folder of their own they could lead root anywhere')
  }
  provesOwned()
  t.match(await pull(['--owner', 'nobody', '--group', '65533', '--mode', '0640']), { status: 'unchanged' })
  chownSync(realpathSync(join(to, 'current')), nobody, 65533)
  t.match(await pull(owned), { status: 'changed' }, 'a folder of theirs is taken out of their hands')
  provesOwned()

  rmSync(to, { recursive: true })
  t.match(await pull(owned), { status: 'changed' })
  t.same(rightsOf(to), [0, 65533, '755'], 'the folder of all, when it is made')
  chownSync(to, nobody, 0)
  chmodSync(to, 0o700)
  rmSync(join(to, 'current'))
  t.match(await pull(owned), { status: 'changed' })
  t.same(rightsOf(to), [nobody, 0, '700'], 'it stays as it is')
  provesOwned()
  chownSync(join(to, '.acme-oss'), nobody, 0)
  t.match(await pull(owned), {
    error: { code: 'FOLDER_UNWRITABLE', message: /\.acme-oss belongs to another user/, hint: /rm -r/ },
  })
})

t.test('from a folder, and by an entry of the configuration', async (t) => {
  const { world, to, raw } = await open(t)
  const layout = world.path('layout')
  const put = async (material: Material): Promise<void> => {
    const { code, stderr } = await world.deploy(material, ['--directory', layout, '--allow-older'])
    t.equal(code, 0, stderr)
  }
  const pull = async (...words: readonly string[]): Promise<PullShape> =>
    JSON.parse((await raw([...words, '--to', to, '--json'])).stdout) as PullShape
  t.match(await pull('--directory', layout), { ok: false, error: { code: 'LAYOUT_MISSING' } })
  await put({ ...one, fullchain: one.leaf })
  await put(one)
  t.match(readlinkSync(join(layout, 'latest')), /^\.latest-/, 'the archive has another chain')
  t.match(await pull('--directory', layout), { status: 'changed', from: `${layout}/` })
  provesCurrent(t, to, one)
  await put(two)
  const config = world.file(
    'acme-oss.yaml',
    'certificates:\n  site:\n    domains: [example.com, www.example.com]\n    deploy:\n      - cdn: { domain: www.example.com }\n      - directory: { path: layout }\n  bare:\n    domains: [example.org]\n    deploy:\n      - cdn: { domain: example.org }\n',
  )
  const done = await pull(
    'site',
    '--config',
    config,
    '--exec',
    `printenv ACME_OSS_NAME > ${world.path('name')}`,
    '--exec-shell',
  )
  t.match(done, { status: 'changed', certificate: { name: 'site' }, from: `${layout}/`, error: null })
  t.equal(readFileSync(world.path('name'), 'utf8'), 'site\n')
  provesCurrent(t, to, two)

  const toDir = ['--to', to]
  const refused: [readonly string[], RegExp][] = [
    [['--directory', layout], /nothing says where the certificate is to go/],
    [toDir, /nothing says where the certificate is to be pulled from/],
    [
      [...toDir, '--directory', layout, '--bucket', bucket, '--region', 'cn-hangzhou'],
      /--bucket and --directory are given/,
    ],
    [[...toDir, '--directory', layout, 'site', '--config', config], /--directory and the configuration's site/],
    [[...toDir, '--directory', layout, '--prefix', 'a/'], /--prefix says something about a bucket/],
    [[...toDir, 'sit', '--config', config], /no entry for sit\n.*did you mean site/],
    [[...toDir, 'bare', '--config', config], /bare is deployed to no bucket/],
    [[...toDir, '--bucket', 'Not A Bucket', '--region', 'cn-hangzhou'], /cannot be the name of a bucket/],
    [[...toDir, '--directory', layout, '--mode', '0644'], /would let everybody of this machine read the private key/],
    [[...toDir, '--directory', layout, '--mode', '0750'], /rights of a file/],
    [[...toDir, '--directory', layout, '--mode', 'rw'], /rights of a file/],
    [[...toDir, '--directory', layout, '--owner', ':ssl'], /--owner takes a user/],
    [[...toDir, '--directory', layout, '--owner', 'a:b', '--group', 'c'], /name a group each/],
    [[...toDir, '--directory', layout, '--owner', 'no-such-user-here'], /there is no user "no-such-user-here"/],
    [[...toDir, '--directory', layout, '--group', 'no-such-group-here'], /there is no group/],
    [[...toDir, '--directory', layout, '--exec-shell'], /--exec-shell is about a command/],
    [[...toDir, '--directory', layout, '--exec', '"nginx'], /quote without its end/],
    [[...toDir, '--directory', layout, '--cdn-domain', 'auto'], /does not know --cdn-domain/],
  ]
  for (const [words, why] of refused) {
    const { code, stderr } = await raw(words)
    t.equal(code, 2, words.join(' '))
    t.match(stderr, why)
  }
})

await proveSilence(t)
