import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { driverInUse } from '../../storage-drivers/in-use.ts';
import { objectKey } from '../../storage-drivers/object-key.ts';
import { bodyOf, collect, keysOf, sha256Of, store, textOf } from '../support/bodies.ts';
import { whyNoSftpServer } from '../support/stores/piped-sftp-server.ts';
import { SftpScene } from '../support/stores/sftp-scene.ts';
import { until } from '../support/until.ts';

const missing = whyNoSftpServer();
const KEY = objectKey('main/wal/one');
const UNAVAILABLE = { code: 'STORAGE_UNAVAILABLE' };
const MEGABYTE = 1024 * 1024;
const LARGE = randomBytes(5 * MEGABYTE + 17);

describe.skipIf(missing !== undefined && process.env['CI'] === undefined)('an SFTP server out of reach', () => {
  const scene = new SftpScene();

  describe('a connection that is cut', () => {
    it('in the middle of an upload is STORAGE_UNAVAILABLE; the next attempt works and tidies up', async () => {
      scene.server.cutAfter(2 * MEGABYTE, 'up');
      await expect(scene.driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' })).rejects.toMatchObject(UNAVAILABLE);
      expect(scene.server.wasCut).toBe(true);
      expect(scene.staged()).toHaveLength(1);
      await scene.driver.put(KEY, bodyOf(LARGE), { ifExists: 'fail' });
      expect(sha256Of(await collect(await scene.driver.get(KEY)))).toBe(sha256Of(LARGE));
      expect(scene.staged()).toEqual([]);
    });

    it('just when the name was given is success when it is tried again, and exactly one object', async () => {
      scene.server.loseAnswerTo('hardlink@openssh.com');
      await expect(store(scene.driver, 'lost', 'x')).rejects.toMatchObject(UNAVAILABLE);
      expect(await textOf(scene.driver, 'lost')).toBe('x');
      scene.server.loseAnswerTo('hardlink@openssh.com');
      await store(driverInUse(scene.driver, { instance: 'test', allowed: 'read-write' }), KEY, 'x');
      expect(await keysOf(scene.driver)).toEqual(['lost', KEY]);
      scene.server.loseAnswerTo('hardlink@openssh.com');
      const others = store(driverInUse(scene.driver, { instance: 'test', allowed: 'read-write' }), KEY, 'y');
      await expect(others).rejects.toMatchObject({ code: 'STORAGE_OBJECT_EXISTS' });
      expect(await textOf(scene.driver, KEY)).toBe('x');
    });

    it('ends every call that is under way', async () => {
      scene.signal('SIGSTOP');
      const calls = [
        scene.driver.stat(KEY),
        scene.driver.remove(KEY),
        keysOf(scene.driver),
        store(scene.driver, KEY, 'x'),
      ].map((call) => expect(call).rejects.toMatchObject(UNAVAILABLE));
      scene.server.cut();
      await Promise.all(calls);
      scene.signal('SIGCONT');
      await store(scene.driver, 'again', 'x');
    });
  });

  describe('a server that stops answering', () => {
    it('is STORAGE_UNAVAILABLE, and another session is begun', async () => {
      // Long enough for a server that answers, however busy the machine is.
      await scene.reopen({ answerMs: 3_000 });
      scene.signal('SIGSTOP');
      await expect(scene.driver.stat(KEY)).rejects.toMatchObject(UNAVAILABLE);
      await store(scene.driver, KEY, 'x');
      expect(await textOf(scene.driver, KEY)).toBe('x');
    });

    it('keeps nobody waiting who gives up, and is left alone soon after', async () => {
      await scene.reopen({ tidyMs: 100 });
      const abort = new AbortController();
      await until(() => scene.server.processes.length === 1, {
        what: 'the end of the other session',
      });
      scene.signal('SIGSTOP');
      const call = expect(scene.driver.stat(KEY, { signal: abort.signal })).rejects.toMatchObject({
        code: 'INTERRUPTED',
      });
      // Lets the request go out.
      for (let turn = 0; turn < 50; turn += 1) await setImmediate();
      abort.abort();
      await call;
      await until(() => scene.server.processes.length === 0, { what: 'the end of the session' });
    });
  });
});
