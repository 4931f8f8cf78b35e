import type { JobDocument } from '../../service/api.ts';
import type { CliStream } from '../cli.ts';
import { count, formatBytes, formatDuration } from './units.ts';

export interface ProgressBar {
  show(job: Pick<JobDocument, 'progress'>): void;
  /** Leaves the last state on the screen. */
  stop(): void;
}

const SILENT: ProgressBar = { show: () => undefined, stop: () => undefined };

/** Draws on a terminal, nowhere else. */
export async function createProgressBar(stream: CliStream): Promise<ProgressBar> {
  if (stream.isTTY !== true) return SILENT;
  const { default: cliProgress } = await import('cli-progress');
  const bar = new cliProgress.SingleBar({
    stream,
    clearOnComplete: false,
    stopOnComplete: false,
    // The figures tell more than the bar: on a narrow terminal they get the room.
    barsize: (stream.columns ?? 80) < 100 ? 10 : 24,
    linewrap: false,
    format: (options, { progress }, payload: { readonly text: string }) =>
      `${cliProgress.Format.BarFormat(progress, options)} ${payload.text}`,
  });
  let started = false;
  return {
    show({ progress }) {
      if (progress === null) return;
      const total = Math.max(progress.totalBytes, 1);
      const payload = { text: progressText(progress) };
      if (!started) bar.start(total, 0, payload);
      started = true;
      bar.setTotal(total);
      bar.update(Math.min(progress.doneBytes, total), payload);
    },
    stop() {
      if (started) bar.stop();
    },
  };
}

/** `45% copy: 1.2 GiB of 2.6 GiB, 312 MiB/s, 5 s left, 1,234 files`. */
export function progressText(progress: NonNullable<JobDocument['progress']>): string {
  const { phase, doneBytes, totalBytes, bytesPerSecond, files } = progress;
  const known = totalBytes > 0;
  const percent = known ? `${Math.floor((Math.min(doneBytes, totalBytes) / totalBytes) * 100)}% ` : '';
  const parts = [known ? `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}` : formatBytes(doneBytes)];
  if (bytesPerSecond > 0) parts.push(`${formatBytes(bytesPerSecond)}/s`);
  if (known && bytesPerSecond > 0 && doneBytes < totalBytes) {
    parts.push(`${formatDuration((totalBytes - doneBytes) / bytesPerSecond)} left`);
  }
  if (files > 0) parts.push(count(files, 'file'));
  return `${percent}${phase}: ${parts.join(', ')}`;
}
