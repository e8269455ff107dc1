// Where the configuration is looked for, and whose it has to be.
import { chmodSync, chownSync, existsSync, lchownSync, mkdirSync, symlinkSync } from 'node:fs'
import t from 'tap'
import { deploymentsIn, isRoot, mintMaterial, proveSilence } from '../deploy-world.js'
import { type ConfigWorld, entriesFor, errorOf, openConfigWorld, targetsOf } from './config-world.js'

const material = await mintMaterial({ names: ['example.com'] })

const entry = (folder: string): string =>
  `certificates:\n  example.com:\n    deploy:\n      - directory: { path: /nonexistent/${folder} }\n`
const goesTo = (folder: string): string[] => [`directory /nonexistent/${folder}`]

const inHome = 'home/.config/acme-oss/acme-oss.yaml'
// The machine's own would be found there; nothing is to be written into it.
const options = { skip: existsSync('/etc/acme-oss/acme-oss.yaml') ? 'this machine has a configuration' : false }

t.test('a flag, the variable, the home, the current folder', options, async (t) => {
  const world = await openConfigWorld(t)
  const standing = { folder: world.path('here') }
  world.write('here/acme-oss.yaml', entry('here'))
  t.same(await world.planned(material, [], standing), goesTo('here'))
  world.write(inHome, entry('home'))
  t.same(await world.planned(material, [], standing), goesTo('home'))
  const byVariable = { ...standing, environment: { ACME_OSS_CONFIG: world.write('variable.yaml', entry('variable')) } }
  t.same(await world.planned(material, [], byVariable), goesTo('variable'))
  world.write('here/flag.yaml', entry('flag'))
  const named = ['deploy', '--fullchain', '-', '--dry-run', '--json', '--config', 'flag.yaml']
  const byFlag = await world.run(named, { input: material.fullchain + material.key, ...byVariable })
  t.same(targetsOf(byFlag), goesTo('flag'), 'relative to the folder')
  t.same(await world.planned(material, [], { ...standing, environment: { ACME_OSS_CONFIG: '' } }), goesTo('home'))
})

t.test('nothing found says what to add', options, async (t) => {
  const world = await openConfigWorld(t)
  const run = await world.deploy(material, [])
  t.match(run, { code: 2, stderr: /nothing says where the certificate is to go\n.*--bucket.*acme-oss config init/ })
  const check = await world.run(['config', 'check'])
  t.match(check, { code: 2, stderr: /there is no configuration\n.*acme-oss config init writes .*--config/ })
  t.match(await world.run(['config', 'paths']), { code: 0, stdout: '' })
})

t.test('one that was named has to be there, and to be a file', async (t) => {
  const world = await openConfigWorld(t)
  const refused = async (path: string, message: RegExp, code = 'FILE_UNREADABLE'): Promise<void> => {
    for (const words of [
      ['config', 'check', '--json'],
      ['deploy', '--fullchain', '-', '--json'],
    ]) {
      const run = await world.call([...words, '--config', path], { input: material.fullchain + material.key })
      t.equal(run.code, 2, path)
      t.match(errorOf(run), { code, message, hint: /\S/ })
    }
  }
  world.write(inHome, entry('home'))
  await refused(world.path('missing.yaml'), /configuration \/.*missing\.yaml cannot be read: there is no such file$/)
  mkdirSync(world.path('folder.yaml'))
  await refused(world.path('folder.yaml'), /folder\.yaml cannot be read: it is a folder$/)
  await refused(world.path('folder.yaml/missing'), /there is no such file$/)
  await refused('/dev/zero', /\/dev\/zero is larger than 8 MiB$/, 'CONFIG_INVALID')
  t.match(await world.run(['config', 'check', '--config', '/dev/null']), { code: 0, stdout: /in order/ })
  if (isRoot) return
  chmodSync(world.write('closed.yaml', ''), 0)
  await refused(world.path('closed.yaml'), /permission denied$/)
})

/** The current folder's file, seen by every command that a person types. */
const typed = async (world: ConfigWorld): Promise<string[]> => {
  const here = { folder: world.path('here') }
  const [check, order] = await Promise.all([
    world.call(['config', 'check', '--json'], here),
    world.call(['issue-and-deploy', '-d', 'example.com', '--agree-tos', '--dry-run', '--json'], here),
  ])
  const found = [check, order].map((run) => errorOf(run)?.code ?? 'found')
  return [...(await world.planned(material, [], here)), ...found]
}

t.test("the current folder's has to be the caller's own", options, async (t) => {
  const world = await openConfigWorld(t)
  const file = world.write('here/acme-oss.yaml', entry('here'))
  t.same(await typed(world), [...goesTo('here'), 'found', 'found'])
  for (const mode of [0o664, 0o646]) {
    chmodSync(file, mode)
    const [first = '', ...others] = await typed(world)
    t.match(first, /^CONFIG_INVALID: .*\/here\/acme-oss\.yaml belongs to somebody else, or others may write it$/)
    t.same(others, ['CONFIG_INVALID', 'CONFIG_INVALID'])
  }
  const advice = await world.run(['config', 'check'], { folder: world.path('here') })
  t.match(advice.stderr, /--config if it is yours to trust, or: chmod go-w \/.*\/here\/acme-oss\.yaml\n/)
  t.same(await world.planned(material, ['--config', file]), goesTo('here'), 'named, it is trusted')
  const there = { folder: world.path('here') }
  t.same(
    await world.planned(material, ['--directory', '/nonexistent/flag'], there),
    goesTo('flag'),
    'and where it is not asked for, it does not matter',
  )
  await t.test("somebody else's", { skip: !isRoot && 'only root can give files away' }, async (t) => {
    chmodSync(file, 0o644)
    chownSync(file, 65534, 65534)
    t.match((await typed(world))[0], /^CONFIG_INVALID: .*belongs to somebody else/)
    t.same(await world.planned(material, ['--config', file]), goesTo('here'))
    world.write('linked/own.yaml', entry('linked'))
    symlinkSync('own.yaml', world.path('linked', 'acme-oss.yaml'))
    const linked = { folder: world.path('linked') }
    t.same(await world.planned(material, [], linked), goesTo('linked'), 'a link of our own to a file of our own')
    lchownSync(world.path('linked', 'acme-oss.yaml'), 65534, 65534)
    t.match(await world.planned(material, [], linked), [/^CONFIG_INVALID/], 'a link that somebody else put there')
  })
})

t.test('hooks, timers and the lists for units stand anywhere: the current folder means nothing', options, async (t) => {
  const world = await openConfigWorld(t)
  const here = { folder: world.path('here') }
  world.write('here/acme-oss.yaml', entriesFor({ 'example.com': ['example.com'] }))
  t.match(await world.run(['config', 'paths'], here), { code: 0, stdout: '' })
  const hook = await world.hooked('example.com', material, [], here)
  t.equal(hook.code, 1)
  t.match(errorOf(hook), { code: 'USAGE', message: /nothing says where/ })
  const unresolved = await world.run(['sync', '--now'], here)
  t.equal(unresolved.code, 1, 'recorded, and still without a target')
  t.notOk(existsSync(world.path('here', 'out')))

  world.write(inHome, entriesFor({ 'example.com': ['example.com'] }))
  t.match(await world.run(['config', 'paths'], here), {
    code: 0,
    stdout: `${world.path('home/.config/acme-oss/out/example.com')}\n`,
  })
  const synced = await world.run(['sync', '--now'], here)
  t.equal(synced.code, 0, synced.stderr)
  t.ok(existsSync(world.path('home/.config/acme-oss/out/example.com/latest/cert.pem')), "the home's own is heeded")
  t.match(deploymentsIn(world.state), [{ privateKey: undefined }])
})

await proveSilence(t)
