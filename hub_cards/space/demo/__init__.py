"""What the page does, without the page: questions, answers, results; nothing here knows Gradio."""
