// The scripts of hooks/ with a command behind them that writes down how it was called.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { installScript, makeFolder, recorder, runProgram } from './hook-world.js'

const shells: readonly (readonly [string, ...string[]])[] = [
  ['/bin/sh'],
  ['/usr/bin/dash'],
  ['/bin/bash', '--posix'],
  ['/bin/busybox', 'sh'],
].filter(([shell]) => existsSync(shell as string)) as [string, ...string[]][]

// As systemd.exec(5) says of EnvironmentFile=.
const lines = `# a comment=1
; ANOTHER=1
PLAIN=plain value  \t
  INDENTED = blanks around
DOUBLE="a \\"quote\\", \\$HOME, \\\\ and \\n, $HOME \`id\`"
SINGLE='$HOME \\ "and"'
JOINED="a"b"c"
ESCAPED=a\\ b\\"c\\
d
TWO="two
lines"
EMPTY=
EQUALS=a=b==
RUN=$(touch ran)\`touch ran\`;touch ran
export EXPORTED=1
1DIGIT=1
no assignment
DOS=dos\r
SECRET=a&b|c*d?e~f#g;h
UMLAUT=grün
LAST=without an end`
const expected = {
  PLAIN: 'plain value',
  INDENTED: 'blanks around',
  DOUBLE: 'a "quote", $HOME, \\ and \\n, $HOME `id`',
  SINGLE: '$HOME \\ "and"',
  JOINED: 'ab"c"',
  ESCAPED: 'a b"cd',
  TWO: 'two\nlines',
  EMPTY: '',
  EQUALS: 'a=b==',
  RUN: '$(touch ran)`touch ran`;touch ran',
  DOS: 'dos',
  SECRET: 'a&b|c*d?e~f#g;h',
  UMLAUT: 'grün',
  LAST: 'without an end',
}

t.test('the file of variables is data, and read as systemd reads it', async (t) => {
  for (const [shell, ...options] of shells) {
    const folder = makeFolder(t)
    const call = recorder(folder)
    const environmentFile = join(folder, 'env')
    writeFileSync(environmentFile, lines)
    const script = installScript('with-environment', join(folder, 'with'), { environmentFile })
    const { code, stderr } = await runProgram(shell, [...options, script, call.command], {}, folder)
    t.same([code, stderr], [0, ''], shell)
    const found = call.environment()
    const ofOthers = /^(PWD|OLDPWD|_|SHLVL|POSIXLY_CORRECT|PATH|NODE_OPTIONS|_TAPJS_.*)$/
    for (const name of Object.keys(found)) if (ofOthers.test(name)) delete found[name]
    t.same(found, expected, shell)
    t.notOk(existsSync(join(folder, 'ran')), 'nothing was run')
  }
})

t.test('what the caller has set stays, and an empty variable counts as none', async (t) => {
  const folder = makeFolder(t)
  const call = recorder(folder)
  const environmentFile = join(folder, 'env')
  writeFileSync(environmentFile, 'ACME_OSS_BUCKET=of-the-file\nACME_OSS_REGION=cn-shanghai\nACME_OSS_PREFIX=there/\n')
  const script = installScript('certbot/acme-oss', join(folder, 'hook'), { command: call.command, environmentFile })
  await runProgram(script, [], { ACME_OSS_BUCKET: 'of-the-caller', ACME_OSS_REGION: '' })
  t.match(call.environment(), {
    ACME_OSS_BUCKET: 'of-the-caller',
    ACME_OSS_REGION: 'cn-shanghai',
    ACME_OSS_PREFIX: 'there/',
  })
})

t.test('with no PATH and no file of variables: called, and its status handed on', async (t) => {
  for (const status of [0, 1, 2, 3]) {
    const folder = makeFolder(t)
    const call = recorder(folder, status)
    const lineage = '/etc/letsencrypt/live/with blank-0001'
    const certbot = installScript('certbot/acme-oss', join(folder, 'a hook'), call)
    t.equal((await runProgram(certbot, [], { PATH: '', RENEWED_LINEAGE: lineage })).code, status)
    t.same(call.words(), ['hook', 'certbot'])
    t.equal(call.environment()['RENEWED_LINEAGE'], lineage)

    const dehydrated = installScript('dehydrated/acme-oss.sh', join(folder, 'hook.sh'), call)
    t.equal((await runProgram(dehydrated, ['deploy_cert', 'a', 'k', 'c', 'f', 'i', '1'], {})).code, status)

    const other = installScript('with-environment', join(folder, 'with'), {})
    t.equal((await runProgram(other, [call.command, 'sync', '--quiet'], {})).code, status)
    t.same(call.words(), ['sync', '--quiet'])
  }
})

t.test('as shipped, the command is found by PATH; a command that is not there is no success', async (t) => {
  const folder = makeFolder(t)
  const call = recorder(folder)
  const script = installScript('certbot/acme-oss', join(folder, 'hook'), {})
  t.equal((await runProgram(script, [], { PATH: join(folder, "it's recorded") })).code, 0)
  t.same(call.words(), ['hook', 'certbot'])
  const lost = await runProgram(script, [], { PATH: '' })
  t.equal(lost.code, 127)
  t.match(lost.stderr, 'acme-oss')
})

t.test('dehydrated: words other than deploy_cert end well before anything is started', async (t) => {
  const folder = makeFolder(t)
  const call = recorder(folder, 1)
  const script = installScript('dehydrated/acme-oss.sh', join(folder, 'hook'), call)
  const words = [
    ...['deploy_challenge', 'clean_challenge', 'sync_cert', 'unchanged_cert', 'invalid_challenge', 'request_failure'],
    ...['generate_csr', 'startup_hook', 'exit_hook', 'deploy_ocsp', '', '-x', '--help', 'deploy_cert ', 'deploy_certs'],
    'this_hookscript_is_broken__dehydrated_is_working_fine__please_ignore_unknown_hooks_in_your_script',
  ]
  for (const word of words) {
    const { code, stdout, stderr } = await runProgram(script, [word, 'example.com', '-token', '*'], {})
    t.same([code, stdout, stderr], [0, '', ''], word)
  }
  t.equal((await runProgram(script, [], {})).code, 0, 'no word at all')
  t.equal(call.words(), undefined)
})

t.test('dehydrated: everything behind --, as it came', async (t) => {
  const folder = makeFolder(t)
  const call = recorder(folder)
  const script = installScript('dehydrated/acme-oss.sh', join(folder, 'hook'), call)
  const group = ['*.example.com', '/a b/key.pem', '/a b/cert.pem', '/a b/full.pem', '/a b/chain.pem', '1700000000']
  // With HOOK_CHAIN=yes there is more than one group; a hostile name is a name.
  const words = ['deploy_cert', ...group, '--state-dir', '$(touch ran)', "it's", '', 'new\nline', '-']
  t.equal((await runProgram(script, words, {})).code, 0)
  t.same(call.words(), ['hook', 'dehydrated', '--', ...words])
})
