// How the command behaves as a process: without a home, with an output that takes nothing, told to end twice.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync } from 'node:fs'
import t from 'tap'
import { isRoot, mintMaterial, openWorld } from '../deploy-world.js'
import { commandLine, runCommand } from '../run-command.js'

t.test('a user without a home folder', { skip: !isRoot && 'only root may become another user' }, async (t) => {
  const world = await openWorld(t)
  const run = async (words: readonly string[]) => {
    const [file, args] = commandLine(words)
    const child = spawn(file, args, { env: { PATH: process.env['PATH'] }, cwd: '/', uid: 54_321, gid: 54_321 })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => (said += piece))
    const [code] = (await once(child, 'close')) as [number]
    return { code, said }
  }
  t.match(await run(['--version']), { code: 0, said: /^\d+\.\d+\.\d+/ })
  const refused = await run([
    'issue-and-deploy',
    '-d',
    'a.example.com',
    '--agree-tos',
    '--directory',
    world.path('out'),
  ])
  t.match(refused, { code: 1, said: /no home folder/ })
  t.match(refused.said, /what to do: .*--state-dir/)
  t.notMatch(refused.said, /\n\s+at /)
})

t.test('an empty HOME is no home', { skip: isRoot && 'root has a folder of the machine' }, async (t) => {
  const world = await openWorld(t)
  const run = await runCommand(['issue-and-deploy', '-d', 'a.example.com', '--agree-tos', '--directory', '/x'], {
    environment: { HOME: '' },
    folder: world.folder,
  })
  t.equal(run.code, 1)
  t.notOk(existsSync(world.path('.local')))
})

t.test('a result that cannot be written does not pass for one', async (t) => {
  const [file, args] = commandLine(['--version'])
  const full = openSync('/dev/full', 'w')
  const child = spawn(file, args, { stdio: ['ignore', full, 'pipe'] })
  let said = ''
  child.stderr?.on('data', (piece: Buffer) => (said += piece))
  const [code] = (await once(child, 'close')) as [number]
  t.equal(code, 1)
  t.match(said, /standard output cannot be written: ENOSPC/)
})

t.test('words behind -- are not passed over', async (t) => {
  const world = await openWorld(t)
  const material = await mintMaterial()
  const run = await world.deploy(material, [...world.toBucket, '--', '--dry-run'])
  t.equal(run.code, 2)
  t.match(run.stderr, /does not know "--dry-run"/)
  t.equal(world.emulator.requests.length, 0)
})
