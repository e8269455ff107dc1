// `acme-oss pull` from the outside, against the emulator and a folder: what lies behind the link, what runs, what is
// left when things go wrong.
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
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
  until,
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
  const lines = await raw([...world.toBucket, '--to', to])
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
void proveSilence
void chmodSync
void lstatSync
void mkdirSync
void rmSync
void symlinkSync
void until
void mintMaterial
